// Wire forms: what was encoded decodes to the same bytes whatever the form, what is known can be made
// again bit by bit, and nothing that was changed on the way is ever taken for the piece.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compress } from "../../../src/engine/bytes/compression.ts";
import { digestNow } from "../../../src/engine/bytes/digest.ts";
import { freshNonce } from "../../../src/engine/bytes/sealing.ts";
import {
  decodeOwnPiece,
  decodePiece,
  encodePiece,
  PassingSeal,
  remakePiece,
  type PiecePlace,
} from "../../../src/engine/bytes/wire-form.ts";
import { plainRow, type PieceRow } from "../../../src/engine/core/manifest.ts";

const CONTENT = "c0".repeat(32);
const KEY = digestNow("sha256", "a key");
/** Beyond every bound below which work is done on the calling thread. */
const LONG = 600_000;

const FORMS = [
  { form: "plain", zstdLevel: 0, key: null },
  { form: "compressed", zstdLevel: 3, key: null },
  { form: "sealed", zstdLevel: 0, key: KEY },
  { form: "compressed-sealed", zstdLevel: 3, key: KEY },
] as const;

/** Half noise, half zeros: zstd makes it shorter, and changing any byte of it shows. */
function compressible(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  crypto.getRandomValues(bytes.subarray(0, Math.min(length >>> 1, 65_536)));
  return bytes;
}

function placeOf(overrides: Partial<PiecePlace> = {}): PiecePlace {
  return { contentId: CONTENT, index: 7, key: KEY, ...overrides };
}

async function refusalOf(wire: Uint8Array, row: PieceRow, place = placeOf()): Promise<string> {
  try {
    await decodePiece(wire, row, place);
    return "taken";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const other = bytes.slice();
  other[at % bytes.length]! ^= 1 << (at & 7);
  return other;
}

describe.each([...FORMS])("a piece that travels $form", ({ form, zstdLevel, key }) => {
  test("decodes to the bytes it was made of, whatever they are", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 3000 }),
        fc.integer({ min: 1, max: 400 }),
        fc.nat(1 << 18),
        async (block, repeats, index) => {
          const plain = new Uint8Array(Buffer.concat(Array(repeats).fill(block)));
          const place = placeOf({ index, key });
          const { wire, row } = await encodePiece(plain, { ...place, zstdLevel });

          expect(wire.length).toBeLessThanOrEqual(plain.length);
          expect(row.wireLength).toBe(wire.length);
          expect(row.wireSha256).toEqual(digestNow("sha256", wire));
          expect(row.plainLength).toBe(plain.length);
          expect(row.plainSha256).toEqual(digestNow("sha256", plain));
          expect(await decodePiece(wire, row, place)).toEqual(plain);
          expect(await remakePiece(plain, row, place)).toEqual(wire);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("decodes off the thread as on it, long as it is", async () => {
    const plain = compressible(LONG);
    const place = placeOf({ key });
    const { wire, row } = await encodePiece(plain, { ...place, zstdLevel });

    expect(row.form).toBe(form);
    expect(await decodePiece(wire, row, place)).toEqual(plain);
    expect(await remakePiece(plain, row, place)).toEqual(wire);
  });

  test("T-22: with a byte changed, cut off or added it never decodes to other bytes", async () => {
    const plain = compressible(5000);
    const { wire, row } = await encodePiece(plain, { ...placeOf({ key }), zstdLevel });

    // Plain wire bytes are checked by whoever fetched them; some bits of a zstd frame say nothing.
    for (let at = 0; at < wire.length && form !== "plain"; at += 97) {
      const changed = flipped(wire, at);
      const refusal = await refusalOf(changed, row);
      if (form === "compressed" && refusal === "taken")
        expect(await decodePiece(changed, row, placeOf())).toEqual(plain);
      else expect(refusal).toBe("checksum");
    }
    expect(await refusalOf(wire.subarray(0, wire.length - 1), row)).toBe("checksum");
    expect(await refusalOf(new Uint8Array([...wire, 0]), row)).toBe("checksum");
  });
});

describe.each([
  { where: "on the thread", length: 4000 },
  { where: "off the thread", length: LONG },
])("a sealed piece, opened $where", ({ length }) => {
  const sealedPair = async () => {
    const one = compressible(length);
    const other = compressible(length);
    return {
      one: await encodePiece(one, { ...placeOf({ index: 1 }), zstdLevel: 0 }),
      other: await encodePiece(other, { ...placeOf({ index: 2 }), zstdLevel: 0 }),
    };
  };

  test("T-22: in the place of another piece of its content it is refused, its row with it or not", async () => {
    const { one, other } = await sealedPair();

    expect(await refusalOf(one.wire, other.row, placeOf({ index: 2 }))).toBe("checksum");
    expect(await refusalOf(one.wire, one.row, placeOf({ index: 2 }))).toBe("checksum");
    expect(await refusalOf(one.wire, one.row, placeOf({ index: 1 }))).toBe("taken");
  });

  test("T-22: under another content, key, nonce, tag or length it is refused", async () => {
    const { one } = await sealedPair();
    const { wire, row } = one;
    const seal = row.seal!;
    const place = placeOf({ index: 1 });
    const contentId = "0c".repeat(32);

    expect(await refusalOf(wire, row, { ...place, contentId })).toBe("checksum");
    expect(await refusalOf(wire, row, { ...place, key: flipped(KEY, 3) })).toBe("checksum");
    for (const other of [
      { ...seal, nonce: flipped(seal.nonce, 5) },
      { ...seal, tag: flipped(seal.tag, 5) },
      { ...seal, tag: seal.tag.subarray(0, 4) },
    ])
      expect(await refusalOf(wire, { ...row, seal: other }, place)).toBe("checksum");
    const longer = { ...row, plainLength: row.plainLength + 1 };
    expect(await refusalOf(wire, longer, place)).toBe("checksum");
  });

  test("without its key it is refused, and says whose key is wanted", async () => {
    const { one } = await sealedPair();

    await expect(
      decodePiece(one.wire, one.row, placeOf({ index: 1, key: null })),
    ).rejects.toMatchObject({ code: "denied", hint: expect.stringContaining("credentials") });
  });

  test("shows nothing of its plain bytes", async () => {
    const { one, other } = await sealedPair();
    const zeros = await encodePiece(new Uint8Array(length), { ...placeOf(), zstdLevel: 0 });

    for (const { wire } of [one, other, zeros])
      expect(wire.subarray(length >>> 1).some((byte) => byte !== 0)).toBe(true);
  });
});

test("T-23: nonces do not repeat in a million seals, and a piece sealed twice looks different", async () => {
  const seen = new Set<string>();
  for (let i = 0; i < 1_000_000; i++) seen.add(freshNonce().toBase64());
  expect(seen.size).toBe(1_000_000);

  const plain = compressible(500);
  const one = await encodePiece(plain, { ...placeOf(), zstdLevel: 0 });
  const other = await encodePiece(plain, { ...placeOf(), zstdLevel: 0 });
  expect(one.row.seal!.nonce).not.toEqual(other.row.seal!.nonce);
  expect(one.wire).not.toEqual(other.wire);
});

test("a piece that is sealed while its bytes come is the piece its row says, however they are cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 3000 }),
      fc.array(fc.nat(3000), { maxLength: 6 }),
      async (plain, cuts) => {
        const sealing = new PassingSeal({ ...placeOf(), key: KEY }, plain.length);
        const ends = [...cuts.filter((cut) => cut < plain.length), plain.length];
        let at = 0;
        const parts = ends
          .toSorted((a, b) => a - b)
          .map((end) => sealing.take(plain.subarray(at, (at = end))));
        const wire = new Uint8Array(Buffer.concat(parts));
        const row = sealing.finish(digestNow("sha256", plain));

        expect(row.wireSha256).toEqual(digestNow("sha256", wire));
        expect(await decodePiece(wire, row, placeOf())).toEqual(plain);
        expect(await remakePiece(plain, row, placeOf())).toEqual(wire);
      },
    ),
  );
});

test("a piece that ends before the length that its seal is bound to has no row", () => {
  const sealing = new PassingSeal({ ...placeOf(), key: KEY }, 100);
  sealing.take(new Uint8Array(99));

  expect(() => sealing.finish(digestNow("sha256", new Uint8Array(99)))).toThrow("as long as");
});

test.each([...FORMS])(
  "T-22: a damaged piece that travels $form is not taken back by its maker either",
  async ({ form, zstdLevel, key }) => {
    const plain = compressible(5000);
    const { wire, row } = await encodePiece(plain, { ...placeOf({ key }), zstdLevel });

    expect(await decodeOwnPiece(wire, row, placeOf())).toEqual(plain);
    if (form === "plain") return;
    for (const at of [0, 17, wire.length - 1]) {
      const refused = decodeOwnPiece(flipped(wire, at), row, placeOf());
      await expect(refused).rejects.toMatchObject({ code: "checksum" });
    }
    const short = decodeOwnPiece(wire.subarray(1), row, placeOf());
    await expect(short).rejects.toMatchObject({ code: "checksum" });
  },
);

test("T-23: other bytes than its row describes are never sealed under a known nonce", async () => {
  const plain = compressible(LONG);
  for (const { zstdLevel, key } of FORMS) {
    const { row } = await encodePiece(plain, { ...placeOf({ key }), zstdLevel });

    expect(await remakePiece(flipped(plain, 17), row, placeOf())).toBeNull();
  }
  const { row } = await encodePiece(plain, { ...placeOf(), zstdLevel: 3 });
  // Another level, as another build of zstd would: the wire form would differ.
  expect(await remakePiece(plain, { ...row, zstdLevel: 19 }, placeOf())).toBeNull();
  expect(await remakePiece(plain, row, placeOf({ key: null }))).toBeNull();
});

describe("T-30: a piece that decompresses to more than its row says", () => {
  test.each([
    { name: "a bomb of 64 MiB", frames: [64 << 20] },
    { name: "two frames", frames: [1000, 1000] },
    { name: "one byte too many", frames: [1001] },
    { name: "one byte too few", frames: [999] },
    { name: "nothing", frames: [0] },
  ])("is refused: $name", async ({ frames }) => {
    const packed = await Promise.all(frames.map((length) => compress(new Uint8Array(length), 3)));
    const wire = new Uint8Array(Buffer.concat(packed));
    // A liar's row agrees with its bytes in all but the length that was promised.
    const row = bombRow(wire, { plainLength: 1000, of: frames[0] });

    const before = process.memoryUsage.rss();
    expect(await refusalOf(wire, row)).toBe("checksum");
    expect(process.memoryUsage.rss() - before).toBeLessThan(32 << 20);
  });

  test("is refused off the thread as well", async () => {
    const wire = await compress(new Uint8Array(64 << 20), 3);
    const row = bombRow(new Uint8Array(wire), { plainLength: LONG, of: 64 << 20 });

    expect(await refusalOf(wire, row)).toBe("checksum");
  });

  function bombRow(wire: Uint8Array, { plainLength, of }: { plainLength: number; of: number }) {
    const wireSha256 = digestNow("sha256", wire);
    const plainSha256 = digestNow("sha256", new Uint8Array(of));
    const formed = { form: "compressed", zstdLevel: 3, plainLength, plainSha256 } as const;
    return { ...plainRow(wire.length, wireSha256), ...formed };
  }
});

test("garbage and bytes that compress to nothing shorter stay what they are", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (noise) => {
      const { wire, row } = await encodePiece(noise, { ...placeOf({ key: null }), zstdLevel: 3 });
      if (row.form === "plain") expect(wire).toEqual(noise);
      else expect(wire.length).toBeLessThan(noise.length);

      const lie = { ...row, form: "compressed", zstdLevel: 3, wireLength: noise.length } as const;
      expect(await refusalOf(noise, { ...lie, plainLength: 200 })).toBe("checksum");
    }),
  );
});
