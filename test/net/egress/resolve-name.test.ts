// Names are looked up without threads: those that nobody answers keep no other waiting.

import dns from "node:dns";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { startBadSource } from "../../fixtures/bad-source.ts";
import { egressFixture } from "../../fixtures/egress-fixture.ts";
import { memorySink, read, sampleBytes } from "../source/memory-sink.ts";

const SLOW_NAMES = 300;

const former = dns.getServers();
let server: Bun.Subprocess<"ignore", "pipe", "inherit">;
beforeAll(async () => {
  const script = new URL("../../fixtures/dns-server.ts", import.meta.url).pathname;
  server = Bun.spawn([process.execPath, script], { stdout: "pipe" });
  const { value } = await server.stdout.getReader().read();
  dns.setServers([`127.0.0.1:${new TextDecoder().decode(value).trim()}`]);
});
afterAll(() => {
  dns.setServers(former);
  server.kill();
});

test("T-28: a source is found and read while the names of 300 others are not answered", async () => {
  const content = sampleBytes(100_000);
  const source = await startBadSource((reply) => reply.serve(content));
  const egress = egressFixture();
  const stop = new AbortController();
  let settled = 0;
  const others = Array.from({ length: SLOW_NAMES }, (_, i) =>
    read(`http://slow${i}.example/`, memorySink(), { egress, signal: stop.signal })
      .catch(() => {})
      .finally(() => settled++),
  );
  const sink = memorySink();

  await read(`http://files.example:${source.port}/file`, sink, { egress });

  expect(sink.bytes()).toEqual(content);
  // Counted, not timed: none of them had been given up by then.
  expect(settled).toBe(0);
  stop.abort(new Error("enough"));
  await Promise.all(others);
  await source.stop();
});
