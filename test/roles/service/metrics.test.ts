// The text that Prometheus reads, checked with the rules of its exposition format.

import { expect, test } from "bun:test";
import { healthRoutes } from "../../../src/roles/service/health-routes.ts";
import { createMetrics } from "../../../src/roles/service/metrics.ts";

const ROLE = { name: "peer", version: "1.2.3" };

test("a reading is taken at each scrape, and a counter does not add it up twice", async () => {
  let bytes = 10;
  const registry = createMetrics(ROLE, [
    { name: "upload_bytes_total", help: "bytes", read: () => bytes },
  ]);

  await registry.metrics();
  bytes = 25;
  const text = await registry.metrics();

  expect(text).toContain("\ndragonfly_upload_bytes_total 25\n");
  expect(text).toContain('dragonfly_build_info{role="peer",version="1.2.3"} 1');
  expect(text).toContain("process_resident_memory_bytes");
});

test("a label value that is gone disappears from the next scrape", async () => {
  let states = ["reading", "complete"];
  const registry = createMetrics(ROLE, [
    {
      name: "contents",
      help: "contents",
      labels: ["state"],
      read: () => states.map((state) => ({ labels: { state }, value: 1 })),
    },
  ]);

  await registry.metrics();
  states = ["complete"];

  expect(await registry.metrics()).not.toContain('state="reading"');
});

test("every line is a comment or a sample with a number", async () => {
  const text = await createMetrics(ROLE, []).metrics();

  const sample = /^[a-zA-Z_:][\w:]*(\{[^{}]*\})? (-?\d+(\.\d+)?(e[+-]?\d+)?|NaN|[+-]Inf)$/i;
  const odd = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(odd.filter((line) => !sample.test(line))).toEqual([]);
});

test("a role that is not ready says why, and is alive nevertheless", async () => {
  const app = healthRoutes({
    notReadyBecause: () => "no supernode answers",
    metrics: createMetrics(ROLE, []),
  });

  const ready = await app.request("/readyz");

  expect([ready.status, await ready.text()]).toEqual([503, "no supernode answers\n"]);
  expect((await app.request("/livez")).status).toBe(200);
  const metrics = await app.request("/metrics");
  expect(metrics.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
});
