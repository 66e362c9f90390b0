// What identifies bytes is SHA-256, fixed by the protocol: nobody talks us into something weaker.

import { afterEach, describe, expect, test } from "bun:test";
import { digestNow, parseChecksum, toHex } from "../../src/engine/bytes/digest.ts";
import { plainRow } from "../../src/engine/core/manifest.ts";
import { PieceOutcome } from "../../src/engine/core/scheduler-events.ts";
import { PieceClient } from "../../src/net/piece/piece-client.ts";
import { decodeRows, FrameEncoder } from "../../src/net/wire/swarm-frames.ts";
import { peerMessageSchema } from "../../src/net/wire/swarm-messages.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** Two blocks of one MD5, found by Wang and Yu, "How to Break MD5 and Other Hash Functions", 2005. */
const TWINS = [
  "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a" +
    "085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0" +
    "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70",
  "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f8955ad340609f4b30283e4888325f1415a" +
    "085125e8f7cdc99fd91dbd7280373c5bd8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0" +
    "e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70",
].map((hex) => Uint8Array.fromHex(hex)) as [Uint8Array, Uint8Array];

test("T-02: a parent that gives the MD5 twin of a piece gives wrong bytes", async () => {
  const [right, twin] = TWINS;
  expect(toHex(digestNow("md5", twin))).toBe(toHex(digestNow("md5", right)));
  const parent = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(twin) });
  cleanups.push(() => parent.stop(true));
  const stored: Uint8Array[] = [];

  const { outcome } = await new PieceClient().fetch(
    {
      ...{ address: `127.0.0.1:${parent.port}`, contentId: "ab".repeat(32), index: 0, pacers: [] },
      row: plainRow(right.length, digestNow("sha256", right)),
      store: async (bytes) => void stored.push(bytes),
    },
    new AbortController().signal,
  );

  expect(outcome).toBe(PieceOutcome.corrupt);
  expect(stored).toEqual([]);
});

describe("T-03: only what the protocol names is a digest", () => {
  const digests = [
    "crc32:0badcafe",
    "sha1:" + "a".repeat(40),
    "md5:",
    "sha256:abc",
    "none",
    "SHA256:",
  ];

  test.each(digests)("%s in a join is no message", (checksum) => {
    const task = { url: "http://a.example/f", checksum };
    const message = { type: "join", request: 1, task };

    expect(peerMessageSchema.safeParse(message).success).toBe(false);
    expect(
      peerMessageSchema.safeParse({ ...message, task: { ...task, checksum: "" } }).success,
    ).toBe(true);
  });

  test.each(digests)("%s as a user's checksum is a usage error", (text) => {
    expect(() => parseChecksum(text)).toThrow("not a digest we know");
  });

  test("a row of a form that nobody makes is no row", () => {
    const frame = new FrameEncoder().rows(1, [{ piece: 0, row: plainRow(5, new Uint8Array(32)) }]);
    const long = new Uint8Array(frame.length + 64);
    long.set(frame);

    const refused = Array.from({ length: 256 }, (_, form) => form).filter((form) => {
      long[7 + 4] = form;
      const bytes = form === 0 ? frame.length : form < 128 ? frame.length + 36 : frame.length + 64;
      return decodeRows(long.subarray(0, bytes)) === null;
    });

    const unknown = Array.from({ length: 256 }, (_, form) => form).filter(
      (form) => (form & 127) > 22,
    );
    expect(refused.filter((form) => (form & 127) > 22)).toEqual(unknown);
  });
});
