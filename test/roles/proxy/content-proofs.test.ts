// What a proof reads, and for whom.

import { expect, test } from "bun:test";
import { digestNow, toHex } from "../../../src/engine/bytes/digest.ts";
import type { BroughtContent } from "../../../src/roles/proxy/brought-content.ts";
import { ContentProofs } from "../../../src/roles/proxy/content-proofs.ts";

const LENGTH = 1_000;
const bytes = new Uint8Array(LENGTH).fill(7);
const sha256 = toHex(digestNow("sha256", bytes));

function contentFixture() {
  const state = { readBytes: 0 };
  const content: BroughtContent = {
    ...{ contentId: "c", identity: state, length: LENGTH, fields: {}, stale: null, notices: [] },
    async *read(from, to) {
      state.readBytes += to! - from;
      yield bytes.slice(from, to!);
    },
    discard: async () => {},
  };
  return Object.assign(state, { content });
}

/** A reader of the last byte, as the mirror serves it. */
async function readLast(proofs: ContentProofs, { content }: { content: BroughtContent }) {
  await proofs.during(content, sha256, async (proof) => {
    proof.see(LENGTH - 1, bytes.subarray(LENGTH - 1));
    await proof.hold(content, LENGTH);
  });
}

test("T-28: the whole is read for its last byte once, and again when it was dropped and brought anew", async () => {
  const proofs = new ContentProofs();
  const [first, second] = [contentFixture(), contentFixture()];

  for (let i = 0; i < 10; i++) await readLast(proofs, first);
  await readLast(proofs, second);

  expect([first.readBytes, second.readBytes]).toEqual([LENGTH, LENGTH]);
});

test("who reads the whole once more proves it once more", async () => {
  const proofs = new ContentProofs();
  const { content } = contentFixture();
  await readLast(proofs, { content });
  const rotten = bytes.map((byte, i) => (i === 3 ? byte ^ 1 : byte));

  const again = proofs.during(content, sha256, async (proof) => {
    proof.see(0, rotten);
    await proof.hold(content, LENGTH);
  });

  await expect(again).rejects.toMatchObject({ code: "checksum" });
});
