// Digests against published vectors, and the text forms a user may give.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  digestNow,
  formatChecksum,
  fromHex,
  parseChecksum,
  RunningDigest,
  sha256,
  toHex,
} from "../../../src/engine/bytes/digest.ts";

const ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const ABC_MD5 = "900150983cd24fb0d6963f7d28e17f72";

test("digests agree with the published test vectors", async () => {
  expect(toHex(await sha256(new TextEncoder().encode("abc")))).toBe(ABC_SHA256);
  expect(toHex(digestNow("sha256", "abc"))).toBe(ABC_SHA256);
  expect(toHex(digestNow("md5", "abc"))).toBe(ABC_MD5);
});

test("a running digest does not depend on how the bytes were cut", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 100 })), async (parts) => {
      const running = new RunningDigest("sha256");
      for (const part of parts) running.update(part);

      expect(running.finish()).toEqual(await sha256(new Uint8Array(Buffer.concat(parts))));
    }),
    { numRuns: 30 },
  );
});

test.each([
  [`sha256:${ABC_SHA256}`, "sha256", ABC_SHA256],
  [`SHA-256=${ABC_SHA256.toUpperCase()}`, "sha256", ABC_SHA256],
  [`md5:${ABC_MD5}`, "md5", ABC_MD5],
])("reads checksum %p", (text, algorithm, hex) => {
  const checksum = parseChecksum(text);

  expect(checksum).toEqual({ algorithm, hex } as typeof checksum);
  expect(parseChecksum(formatChecksum(checksum))).toEqual(checksum);
});

test.each([
  "",
  "abc",
  ABC_SHA256,
  `sha256:${ABC_MD5}`,
  `md5:${ABC_SHA256}`,
  `sha1:${"0".repeat(40)}`,
  `md5:${"g".repeat(32)}`,
])("refuses checksum %p with a hint", (text) => {
  expect(() => parseChecksum(text)).toThrow(
    expect.objectContaining({ code: "usage", hint: expect.stringContaining("sha256:") }),
  );
});

test("hex comes back as the same bytes, and what is no hex is refused", () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => expect(fromHex(toHex(bytes))).toEqual(bytes)));
  for (const wrong of ["a", "0g", " 00", "0x00"]) expect(fromHex(wrong)).toBeNull();
});
