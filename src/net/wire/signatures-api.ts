// What a host tells of a content under the fleet's signature: `GET /v1/signatures/<contentId>?from=<n>`
// gives the signed groups of rows from the n-th on that it knows, with their rows, and what is known
// of the whole. Nobody need believe the host: all of it is checked (signed-rows.ts).

import { z } from "zod";
import {
  decodeRows,
  decodeSigned,
  type FrameEncoder,
  type NumberedRow,
  type SignedGroup,
} from "./swarm-frames.ts";
import { groupOf, SIGNED_ROWS } from "./signed-rows.ts";

/** Groups in one answer: 512 rows, 73 KiB in base64 at most. A full one means that there may be more. */
export const TOLD_GROUPS_MAX = 8;

const wholeSchema = z.object({
  length: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  md5: z.string().regex(/^[0-9a-f]{32}$/),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
  signature: z.base64().length(88),
});
/** Of a complete content; its other fields are the asker's own. */
export type ToldWhole = z.infer<typeof wholeSchema>;

const answerSchema = z.object({
  /** As its source named the version; null: it did not. */
  validator: z.string().max(1024).nullable(),
  /** Null: not known yet. */
  length: z.int().min(0).max(Number.MAX_SAFE_INTEGER).nullable(),
  pieceLength: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
  /** A signed frame of handle 0, base64. */
  groups: z.base64(),
  /** A rows frame of handle 0 with the rows of these groups, base64. */
  rows: z.base64(),
  whole: wholeSchema.optional(),
});

/** A signature and the rows that it is said to be over. */
export interface ToldGroup extends SignedGroup {
  rows: NumberedRow[];
}

/** What one answer tells; nothing of it is checked yet. */
export interface ToldManifest {
  validator: string | null;
  length: number | null;
  pieceLength: number;
  groups: ToldGroup[];
  whole: ToldWhole | null;
}

/** Writes an answer of at most TOLD_GROUPS_MAX groups. */
export function encodeTold(told: ToldManifest, encoder: FrameEncoder): Uint8Array {
  const { groups, whole, ...facts } = told;
  const answer = {
    ...facts,
    groups: encoder.signed(0, groups).toBase64(),
    rows: encoder
      .rows(
        0,
        groups.flatMap(({ rows }) => rows),
      )
      .toBase64(),
    ...(whole === null ? {} : { whole }),
  };
  return new TextEncoder().encode(JSON.stringify(answer));
}

/** Reads an answer; null when it is none. Each group's rows are in the order of their pieces. */
export function decodeTold(bytes: Uint8Array): ToldManifest | null {
  const answer = answerSchema.safeParse(jsonOf(bytes));
  if (!answer.success) return null;
  const { validator, length, pieceLength, whole = null } = answer.data;
  const signed = decodeSigned(Uint8Array.fromBase64(answer.data.groups));
  const told = decodeRows(Uint8Array.fromBase64(answer.data.rows));
  if (signed === null || told === null) return null;
  const rowsByGroup = Map.groupBy(told.rows, ({ piece }) => groupOf(piece));
  const groups = signed.groups.map(({ group, signature }) => {
    const rows = (rowsByGroup.get(group) ?? []).toSorted((a, b) => a.piece - b.piece);
    return { group, signature, rows };
  });
  return { validator, length, pieceLength, groups, whole };
}

/** Whether a group's rows are those of all its pieces, and of no others. @param pieceCount of the content */
export function isWholeGroup({ group, rows }: ToldGroup, pieceCount: number): boolean {
  const first = group * SIGNED_ROWS;
  const count = Math.min(SIGNED_ROWS, pieceCount - first);
  return count > 0 && rows.length === count && rows.every(({ piece }, i) => piece === first + i);
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}
