// Which addresses are this machine's alone.

import { expect, test } from "bun:test";
import { parseLoopbackAddress } from "../../src/roles/command-line/listen-address.ts";

test.each([
  ["127.0.0.1:65001", { hostname: "127.0.0.1", port: 65_001 }],
  ["127.9.9.9:0", { hostname: "127.9.9.9", port: 0 }],
  ["localhost:80", { hostname: "localhost", port: 80 }],
  ["[::1]:80", { hostname: "::1", port: 80 }],
])("only this machine reaches %s", (text, address) => {
  expect(parseLoopbackAddress("--listen", text, "")).toEqual(address);
});

test.each([
  ...["0.0.0.0:80", ":80", "[::]:80", "10.0.0.7:80", "files:80", "localhost.example.org:80"],
  ...["127.0.0.1.example.org:80", "127.0.0.1", "127.0.0.1:70000", "", "::1:80"],
])("%p is refused with the flag's name and a way out", (text) => {
  expect(() => parseLoopbackAddress("--listen", text, "do otherwise")).toThrow(
    expect.objectContaining({ code: "usage", message: expect.stringContaining("--listen") }),
  );
});
