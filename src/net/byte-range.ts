// The Range field as answers of a known length heed it (RFC 9110 §14.2): one range, which becomes offsets.
// Anything else that a client may write there is ignored, and the whole is the answer.

export interface ByteRange {
  readonly from: number;
  /** The offset after the last byte. */
  readonly to: number;
}

/** Null: the whole is meant. "beyond": no byte of it is there (416). */
export type RangeChoice = ByteRange | "beyond" | null;

const RANGE = /^bytes=(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))$/;

/** @param field its value; undefined: none was sent */
export function chooseRange(field: string | undefined, length: number): RangeChoice {
  const match = RANGE.exec(field?.trim() ?? "");
  if (match === null) return null;
  const [, first, last, suffix] = match;
  if (suffix !== undefined) {
    const count = Math.min(Number(suffix), length);
    return count === 0 ? "beyond" : { from: length - count, to: length };
  }
  const from = Number(first);
  const to = last === "" ? length : Math.min(Number(last) + 1, length);
  // "5-3" is not a range at all.
  if (last !== "" && Number(last) < from) return null;
  return from < length ? { from, to } : "beyond";
}

/** The Content-Range of a part. */
export function contentRangeOf({ from, to }: ByteRange, length: number): string {
  return `bytes ${from}-${to - 1}/${length}`;
}
