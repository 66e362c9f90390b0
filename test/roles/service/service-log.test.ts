// What the log lines of a service look like, and which are shown.

import { expect, test } from "bun:test";
import type { LogLevel } from "../../../src/roles/service/log-line.ts";
import { createServiceLog, setLogLevel } from "../../../src/roles/service/service-log.ts";

function logTo(lines: string[], overrides: { isJson?: boolean; level?: LogLevel } = {}) {
  return createServiceLog({
    ...{ component: "peer", isJson: false, level: "info", ...overrides },
    write: (line) => lines.push(line),
  });
}

test("a plain line has time, level, role and message", () => {
  const lines: string[] = [];

  logTo(lines).warn("disk is nearly full");

  expect(lines).toEqual([expect.stringMatching(/^\d{4}-.*Z warning peer: disk is nearly full\n$/)]);
});

test("a JSON line is one object whatever the message holds", () => {
  const lines: string[] = [];

  logTo(lines, { isJson: true }).error('source said "no"\nand more');

  expect(JSON.parse(lines.join(""))).toEqual({
    ts: expect.any(String),
    level: "error",
    component: "peer",
    msg: 'source said "no"\nand more',
  });
});

test("a message with line breaks cannot pose as another line", () => {
  const lines: string[] = [];

  logTo(lines).info("read x\n2026-01-01T00:00:00Z info peer: all is well");

  expect(lines.join("").split("\n").length).toBe(2);
});

test("a level that changes while the service runs counts for the next line", () => {
  const lines: string[] = [];
  const log = logTo(lines, { level: "warning" });

  log.info("hidden");
  setLogLevel(log, "debug");
  log.debug("shown");

  expect(lines).toEqual([expect.stringContaining("shown")]);
});

test("a line that repeats is not swallowed", () => {
  const lines: string[] = [];
  const log = logTo(lines);

  for (let i = 0; i < 20; i++) log.warn("again");

  expect(lines.length).toBe(20);
});
