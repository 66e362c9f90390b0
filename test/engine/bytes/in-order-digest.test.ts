// The digest of a whole content whose pieces come in any order, live or read back.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { digestNow, toHex } from "../../../src/engine/bytes/digest.ts";
import { InOrderDigest } from "../../../src/engine/bytes/in-order-digest.ts";

const PIECE_LENGTH = 64;

/** A content whose pieces a test delivers in its own order. */
function fixture(content: Uint8Array) {
  let readBytes = 0;
  const digest = new InOrderDigest({
    pieceLength: PIECE_LENGTH,
    algorithms: ["sha256", "md5"],
    read: async (offset, length) => {
      readBytes += length;
      return content.slice(offset, offset + length);
    },
  });
  const pieces = Array.from({ length: Math.ceil(content.length / PIECE_LENGTH) }, (_, index) => ({
    index,
    offset: index * PIECE_LENGTH,
    bytes: content.subarray(index * PIECE_LENGTH, (index + 1) * PIECE_LENGTH),
  }));
  const expected = new Map([
    ["sha256", toHex(digestNow("sha256", content))],
    ["md5", toHex(digestNow("md5", content))],
  ]);
  return { digest, pieces, expected, readBytes: () => readBytes };
}

test("pieces in any order, offered in parts or not at all, give the digest of the content", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 1000 }),
      fc.infiniteStream(fc.nat()),
      fc.boolean(),
      async (content, choices, offers) => {
        const { digest, pieces, expected } = fixture(content);
        while (pieces.length > 0) {
          const [piece] = pieces.splice((choices.next().value as number) % pieces.length, 1);
          const half = (choices.next().value as number) % (piece!.bytes.length + 1);
          if (offers) {
            digest.offer(piece!.offset, piece!.bytes.subarray(0, half));
            if (half % 2 === 0) await Promise.resolve();
            digest.offer(piece!.offset + half, piece!.bytes.subarray(half));
          }
          digest.pieceDone(piece!.index, piece!.bytes.length);
          if (half % 3 === 0) await Bun.sleep(0);
        }

        expect(await digest.finish(content.length)).toEqual(expected as Map<"md5", string>);
      },
    ),
    { numRuns: 60 },
  );
});

test("bytes that come in order are never read back", async () => {
  const { digest, pieces, expected, readBytes } = fixture(new Uint8Array(640).fill(7));
  for (const { index, offset, bytes } of pieces) {
    digest.offer(offset, bytes);
    digest.pieceDone(index, bytes.length);
  }

  expect(await digest.finish(640)).toEqual(expected as Map<"md5", string>);
  expect(readBytes()).toBe(0);
});

test("a resumed content is read back from its start, then goes on with what arrives", async () => {
  const { digest, pieces, expected, readBytes } = fixture(new Uint8Array(640).fill(9));
  for (const { index, bytes } of pieces.slice(0, 8)) digest.pieceDone(index, bytes.length);
  while (digest.cursor < 512) await Bun.sleep(0);
  for (const { index, offset, bytes } of pieces.slice(8)) {
    digest.offer(offset, bytes);
    digest.pieceDone(index, bytes.length);
  }

  expect(await digest.finish(640)).toEqual(expected as Map<"md5", string>);
  expect(readBytes()).toBe(512);
});

test("a failed read back fails the digest, and one piece missing is a bug", async () => {
  const broken = new InOrderDigest({
    pieceLength: PIECE_LENGTH,
    algorithms: ["md5"],
    read: () => Promise.reject(new Error("the disk is gone")),
  });
  broken.pieceDone(0, PIECE_LENGTH);
  expect(await broken.finish(PIECE_LENGTH).catch((error: Error) => error.message)).toBe(
    "the disk is gone",
  );

  const { digest } = fixture(new Uint8Array(128));
  digest.pieceDone(1, 64);
  expect(await digest.finish(128).catch((error: Error) => error.message)).toContain("bug:");
});

// A piece that was told in the microtasks in which a catch-up ended was forgotten.
test("a piece told at any moment of a catch-up is digested", async () => {
  const content = new Uint8Array(1000).fill(3);
  for (let microtasks = 0; microtasks < 40; microtasks++) {
    const { digest, pieces, expected } = fixture(content);
    for (const { index, bytes } of pieces) {
      digest.pieceDone(index, bytes.length);
      for (let i = 0; i < microtasks; i++) await Promise.resolve();
    }

    expect(await digest.finish(content.length)).toEqual(expected as Map<"md5", string>);
  }
});

test("a piece that came early is read back once offered bytes reach it", async () => {
  const { digest, pieces, expected } = fixture(new Uint8Array(128).fill(5));
  digest.pieceDone(1, 64);
  digest.offer(0, pieces[0]!.bytes);
  digest.pieceDone(0, 64);

  expect(await digest.finish(128)).toEqual(expected as Map<"md5", string>);
});

test("a digest that was stopped reads nothing more: its file is closed by then", async () => {
  const { digest, pieces, readBytes } = fixture(new Uint8Array(10 * PIECE_LENGTH));
  for (const { index, bytes } of pieces) digest.pieceDone(index, bytes.length);

  await digest.stop();
  const readThen = readBytes();
  digest.pieceDone(0, PIECE_LENGTH);
  await Bun.sleep(1);

  expect(readThen).toBeLessThanOrEqual(PIECE_LENGTH);
  expect(readBytes()).toBe(readThen);
  await expect(digest.finish(10 * PIECE_LENGTH)).rejects.toThrow("stopped");
});
