// The sidecar beside an unfinished output: which version of which content the part file holds and
// which pieces of it. Nothing in it is trusted: it only says where hashing again may pay.
//
//   df-resume 1\n  {json}\n  SHA-256 of the lines above, hex\n

import { PieceSet } from "../core/piece-set.ts";
import { pieceCountOf } from "../core/piece-layout.ts";
import { digestNow, toHex } from "./digest.ts";

const MAGIC = "df-resume 1";

/** What an unfinished output says about itself. */
export interface ResumeJournal {
  /** Names the content; in a read without a swarm, the task. */
  readonly content: string;
  /** Strong ETag or Last-Modified of the version; null: it cannot be resumed at the source. */
  readonly validator: string | null;
  readonly length: number;
  readonly pieceLength: number;
  /** SHA-256 of the pieces that were written, by index. */
  readonly pieces: ReadonlyMap<number, Uint8Array>;
}

/** The JSON line. Checked by hand: loading a schema library would take a fifth of a small download. */
interface Note {
  content: string;
  validator: string | null;
  length: number;
  pieceLength: number;
  /** Base64 of the bitmap, then of the digests in ascending order of their pieces. */
  have: string;
  digests: string;
}

const CONTENT_PATTERN = /^[0-9a-f]{64}$/;
const VALIDATOR_LENGTH_MAX = 1024;

export function encodeResumeJournal(journal: ResumeJournal): string {
  const have = new PieceSet(pieceCountOf(journal.length, journal.pieceLength));
  for (const index of journal.pieces.keys()) have.add(index);
  const digests = [...have].map((index) => journal.pieces.get(index)!);
  const body: Note = {
    content: journal.content,
    validator: journal.validator,
    length: journal.length,
    pieceLength: journal.pieceLength,
    have: have.toBytes().toBase64(),
    digests: Buffer.concat(digests).toString("base64"),
  };
  const text = `${MAGIC}\n${JSON.stringify(body)}\n`;
  return `${text}${checksumOf(text)}\n`;
}

/** Reads a sidecar; null for anything torn, foreign or inconsistent: the output then starts anew. */
export function parseResumeJournal(text: string): ResumeJournal | null {
  const lines = text.split("\n");
  if (lines.length !== 4 || lines[0] !== MAGIC || lines[3] !== "") return null;
  if (lines[2] !== checksumOf(`${lines[0]}\n${lines[1]}\n`)) return null;
  const note = jsonOrNull(lines[1]!);
  if (!isNote(note)) return null;
  const { content, validator, length, pieceLength } = note;
  const have = PieceSet.fromBytes(
    pieceCountOf(length, pieceLength),
    Buffer.from(note.have, "base64"),
  );
  const digests = new Uint8Array(Buffer.from(note.digests, "base64"));
  if (have === null || digests.length !== have.count * 32) return null;
  const pieces = new Map(
    [...have].map((index, at) => [index, digests.slice(at * 32, at * 32 + 32)]),
  );
  return { content, validator, length, pieceLength, pieces };
}

function isNote(value: unknown): value is Note {
  if (typeof value !== "object" || value === null) return false;
  const { content, validator, length, pieceLength, have, digests } = value as Partial<Note>;
  const isValidator =
    validator === null ||
    (typeof validator === "string" && validator.length <= VALIDATOR_LENGTH_MAX);
  return (
    typeof content === "string" &&
    CONTENT_PATTERN.test(content) &&
    isValidator &&
    Number.isSafeInteger(length) &&
    length! >= 0 &&
    Number.isSafeInteger(pieceLength) &&
    pieceLength! >= 1 &&
    typeof have === "string" &&
    typeof digests === "string"
  );
}

function checksumOf(text: string): string {
  return toHex(digestNow("sha256", text));
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
