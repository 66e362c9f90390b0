// Which addresses are this machine's alone: a fleet there is not for others, and its token goes there.

import { expect, test } from "bun:test";
import { isLoopbackUrl } from "../../src/roles/command-line/fleet-flags.ts";

test.each([
  ["http://127.0.0.1:8000", true],
  ["http://127.1", true],
  ["http://localhost:8000", true],
  ["http://[::1]:8000", true],
  ["http://127.example.org", false],
  ["http://localhost.example.org:8000", false],
  ["http://10.0.0.1:8000", false],
])("%s is this machine's alone: %p", (url, isLoopback) => {
  expect(isLoopbackUrl(url)).toBe(isLoopback);
});
