// The measuring tools themselves: a bench that counts wrong proves nothing.

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { CountingSource, randomPayload } from "../../bench/harness/counting-source.ts";
import { processUsage } from "../../bench/harness/process-usage.ts";
import { Session } from "../../bench/harness/session.ts";
import { median, pairedRatios, quantile } from "../../bench/harness/statistics.ts";
import { parseBitRate, parseSize } from "../../bench/harness/units.ts";

test.each([
  ["20MB", 20_000_000],
  ["1GiB", 2 ** 30],
  ["1.5MB", 1_500_000],
  ["64KiB", 65_536],
])("the size %s is %i bytes", (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test("a rate is bits per second, and nonsense is refused with what was wanted", () => {
  expect(parseBitRate("10Mbps")).toBe(10_000_000);
  expect(() => parseBitRate("10MB")).toThrow("a rate such as 10Mbps");
  expect(() => parseSize("lots")).toThrow("a size such as 20MB");
});

test("quantiles lie between neighbours and ratios are of runs made side by side", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(quantile([0, 10], 0.25)).toBe(2.5);
  expect(pairedRatios([2, 9], [1, 3])).toEqual([2, 3]);
});

test("the counting source counts body bytes of ranges, not of HEAD or 304", async () => {
  const bytes = randomPayload(300_000);
  await using source = await CountingSource.start({ bytes });

  const head = await fetch(source.url, { method: "HEAD" });
  const etag = head.headers.get("etag")!;
  await fetch(source.url, { headers: { "if-none-match": etag } });
  expect(source.bodyBytes).toBe(0);

  const part = await fetch(source.url, { headers: { range: "bytes=100-199", "if-range": etag } });
  expect(part.headers.get("content-range")).toBe("bytes 100-199/300000");
  expect(new Uint8Array(await part.arrayBuffer())).toEqual(bytes.slice(100, 200));
  expect(source.bodyBytes).toBe(100);

  const stale = await fetch(source.url, { headers: { range: "bytes=0-9", "if-range": '"old"' } });
  expect({ status: stale.status, length: (await stale.arrayBuffer()).byteLength }).toEqual({
    status: 200,
    length: bytes.length,
  });
});

test("a session ends its processes and removes its folder, also after an error", async () => {
  let folder = "";
  let pid = 0;
  const session = Session.run("test", async (session) => {
    folder = session.folder;
    pid = session.start(["sleep", "600"]).pid;
    expect(processUsage(pid)?.residentBytes).toBeGreaterThan(0);
    throw new Error("the bench failed");
  });

  await expect(session).rejects.toThrow("the bench failed");
  expect(existsSync(folder)).toBe(false);
  expect(processUsage(pid)).toBe(null);
});
