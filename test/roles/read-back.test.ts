// What a read of a source has put into its data file, read back for the digest of the whole.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomPayload } from "../../bench/harness/counting-source.ts";
import { digestNow } from "../../src/engine/bytes/digest.ts";
import { encodePiece } from "../../src/engine/bytes/wire-form.ts";
import { Manifest } from "../../src/engine/core/manifest.ts";
import { ReadBack } from "../../src/roles/worker/read-back.ts";

const PIECE = 64 << 10;
const KEY = digestNow("sha256", "a content key");

let dir: string;
const opened: FileHandle[] = [];
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "df-read-back-"));
});
afterAll(async () => {
  await Promise.all(opened.map((file) => file.close()));
  await rm(dir, { recursive: true });
});

const forms = [
  { zstdLevel: 0, key: null },
  { zstdLevel: 3, key: null },
  { zstdLevel: 0, key: KEY },
  { zstdLevel: 3, key: KEY },
];

/** A data file with a piece of each form, half of it random, the last one short. */
async function dataFile() {
  const lengths = [PIECE, PIECE, PIECE, PIECE / 2];
  const plain = lengths.map((length) => {
    const bytes = new Uint8Array(length);
    bytes.set(randomPayload(length / 2));
    return bytes;
  });
  const content = new Uint8Array(Buffer.concat(plain));
  const dataPath = join(dir, `data-${opened.length}`);
  const file = await open(dataPath, "w+");
  opened.push(file);
  const manifest = new Manifest({ length: content.length, pieceLength: PIECE });
  for (const [index, bytes] of plain.entries()) {
    const { wire, row } = await encodePiece(bytes, { ...forms[index]!, contentId: "c", index });
    await file.write(wire, 0, wire.length, index * PIECE);
    manifest.append(index, row);
  }
  const back = new ReadBack({ contentId: "c", dataPath, file, manifest, key: KEY });
  return { back, content, file };
}

test.each([PIECE, 10_000, 97])(
  "pieces of every form come back in steps of %d bytes",
  async (step) => {
    const { back, content } = await dataFile();
    const digest = new Bun.CryptoHasher("md5");

    for (let at = 0; at < content.length;) {
      const end = Math.min(at + step, (Math.floor(at / PIECE) + 1) * PIECE, content.length);
      digest.update(await back.read(at, end - at));
      at = end;
    }

    expect(digest.digest("hex")).toBe(Bun.MD5.hash(content, "hex"));
  },
);

test.each([
  ["compressed", 1],
  ["sealed", 2],
  ["compressed and sealed", 3],
])("a %s piece that is damaged on disk ends the digest", async (_, index) => {
  const { back, file } = await dataFile();
  await file.write(new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]), 0, 8, index * PIECE + 1000);

  await expect(back.read(index * PIECE, 100)).rejects.toMatchObject({
    ...{ code: "file-unreadable", message: expect.stringContaining("damaged") },
  });
});

test("a file that ends too early is told", async () => {
  const { back, file } = await dataFile();
  await file.truncate(2 * PIECE + 10);

  await expect(back.read(2 * PIECE, 100)).rejects.toMatchObject({ code: "file-unreadable" });
});
