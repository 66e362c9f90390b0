// Run by crash.test.ts: brings pieces into a store, good ones and half-written ones, until killed.
// One byte on stdout per committed piece; the last one only after the journal was written.

import { JOURNAL_INTERVAL_MS } from "../../src/limits.ts";
import { openStore } from "../../src/store/open-store.ts";
import { factsOf, PIECE_LENGTH, pieceBytes, putPiece, rowOf } from "./store-fixture.ts";

const [dir, pieceCountText] = process.argv.slice(2);
const pieceCount = Number(pieceCountText);
const store = await openStore({ dir: dir!, quotaBytes: null, onWarning: () => undefined });
const content = await store.create(factsOf(1, pieceCount * PIECE_LENGTH));

for (let index = 0; index < pieceCount; index++) {
  if (!content.have.has(index)) {
    // The row is known and half the bytes are there: a kill now leaves a piece that must not count.
    content.addRow(index, rowOf(pieceBytes(1, index)));
    await content.write(index * PIECE_LENGTH, pieceBytes(1, index, PIECE_LENGTH / 2));
    await putPiece(content, 1, index);
    if (index % 10 === 0) await Bun.sleep(20);
  }
  if (index === pieceCount - 1) await Bun.sleep(JOURNAL_INTERVAL_MS * 2);
  process.stdout.write(".");
}
await Bun.sleep(600_000);
