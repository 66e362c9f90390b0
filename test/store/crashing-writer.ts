// Run by crash.test.ts: brings pieces into a store, plain and formed, good and half-written ones, until killed.
// One byte on stdout per committed piece; the last one only after the journal was written.

import { JOURNAL_INTERVAL_MS } from "../../src/limits.ts";
import { openStore } from "../../src/store/open-store.ts";
import {
  factsOf,
  formedPiece,
  PIECE_LENGTH,
  pieceBytes,
  putFormed,
  rowOf,
} from "./store-fixture.ts";

const [dir, pieceCountText] = process.argv.slice(2);
const pieceCount = Number(pieceCountText);
const store = await openStore({ dir: dir!, quotaBytes: null, onWarning: () => undefined });
const content = await store.create(factsOf(1, pieceCount * PIECE_LENGTH));

for (let index = 0; index < pieceCount; index++) {
  if (!content.have.has(index)) {
    // The row is known and half the bytes are there: a kill now leaves a piece that must not count.
    const isPlain = index % 3 === 0;
    const piece = isPlain
      ? { wire: pieceBytes(1, index), row: rowOf(pieceBytes(1, index)) }
      : await formedPiece(1, index);
    content.addRow(index, piece.row);
    await content.write(index * PIECE_LENGTH, piece.wire.subarray(0, piece.wire.length / 2));
    await putFormed(content, index, piece);
    if (index % 10 === 0) await Bun.sleep(20);
  }
  if (index === pieceCount - 1) await Bun.sleep(JOURNAL_INTERVAL_MS * 2);
  process.stdout.write(".");
}
await Bun.sleep(600_000);
