// Which addresses are this machine's alone: a fleet there is not for others, and its token goes there.

import { expect, test } from "bun:test";
import { isLoopbackUrl, parseConfigService } from "../../src/roles/command-line/fleet-flags.ts";

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

test.each([
  ["10.0.0.2:8000", "https://10.0.0.2:8000"],
  ["config.example.org", "https://config.example.org"],
  ["[fd00::2]:8000", "https://[fd00::2]:8000"],
  ["127.0.0.1:8000", "http://127.0.0.1:8000"],
  ["localhost:8000", "http://localhost:8000"],
  ["http://10.0.0.2:8000", "http://10.0.0.2:8000"],
])("the address %s of a df config means %s", (text, url) => {
  expect(parseConfigService("--config-service", text)).toEqual({ urls: [url] });
});
