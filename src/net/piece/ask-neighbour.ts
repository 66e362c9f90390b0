// Asks a neighbour what it has of a content and which manifest rows it vouches for. Neighbours are
// not trusted: an answer that is late, long or malformed is none.

import { decodeRows, ROWS_MAX, type NumberedRow } from "../wire/swarm-frames.ts";
import { havePath, rowsPath, signaturesPath } from "../wire/piece-api.ts";
import { decodeTold, type ToldManifest } from "../wire/signatures-api.ts";
import type { Authorise } from "../wire/ticketed-request.ts";

/** A host nearby that takes longer has no time for children either. */
const ANSWER_TIMEOUT_MS = 2_000;

/** A bitmap of 2^20 pieces is 128 KiB; a rows frame has 21 KiB. */
const ANSWER_BYTES_MAX = 128 << 10;

/** What is asked about. */
export interface NeighbourQuestion {
  contentId: string;
  /** Of a private content. @defaultValue anybody may ask */
  authorise?: Authorise | undefined;
}

/**
 * The pieces that the neighbour has, as the words of a PieceSet.
 * @returns null when it has none, or gives no such answer
 */
export async function askHave(
  address: string,
  question: NeighbourQuestion,
  signal: AbortSignal,
): Promise<Uint32Array | null> {
  const path = havePath(question.contentId);
  const bytes = await answerOf({ address, path, authorise: question.authorise }, signal);
  if (bytes === null) return null;
  const words = new Uint32Array((bytes.length + 3) >>> 2);
  for (let i = 0; i < bytes.length; i++) words[i >>> 2]! |= bytes[i]! << ((i & 3) << 3);
  return words;
}

/**
 * Rows that the neighbour knows at first hand, from the `from`-th that it tells on.
 * @returns `hasMore`: ask again from where these end
 */
export async function askRows(
  address: string,
  question: NeighbourQuestion & { from: number },
  signal: AbortSignal,
): Promise<{ rows: NumberedRow[]; hasMore: boolean }> {
  const path = rowsPath(question.contentId, question.from);
  const bytes = await answerOf({ address, path, authorise: question.authorise }, signal);
  const rows = (bytes === null ? null : decodeRows(bytes))?.rows ?? [];
  return { rows, hasMore: rows.length === ROWS_MAX };
}

/**
 * What the neighbour tells under the fleet's signature, from the `from`-th group on; yet to be checked.
 * @returns null when it has nothing of the kind, or gives no such answer
 */
export async function askSigned(
  address: string,
  question: NeighbourQuestion & { from: number },
  signal: AbortSignal,
): Promise<ToldManifest | null> {
  const path = signaturesPath(question.contentId, question.from);
  const bytes = await answerOf({ address, path, authorise: question.authorise }, signal);
  return bytes === null ? null : decodeTold(bytes);
}

async function answerOf(
  { address, path, authorise }: { address: string; path: string; authorise: Authorise | undefined },
  signal: AbortSignal,
): Promise<Uint8Array | null> {
  try {
    const url = new URL(`http://${address}${path}`);
    const answer = await fetch(url, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
      headers: authorise?.({ path, host: url.host }) ?? {},
      redirect: "manual",
      proxy: false,
      decompress: false,
    });
    const length = Number(answer.headers.get("content-length") ?? NaN);
    if (answer.status === 200 && length <= ANSWER_BYTES_MAX) return await answer.bytes();
    await answer.body?.cancel();
    return null;
  } catch {
    return null;
  }
}
