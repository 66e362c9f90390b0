// Targets of CONNECT: what is one, and that no spelling of an address hides what it is.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { authorityOf, parseAuthority } from "../../../src/net/proxy/authority.ts";

test.each([
  ["example.org:443", "example.org:443"],
  ["EXAMPLE.org:8443", "example.org:8443"],
  ["example.org.:443", "example.org.:443"],
  ["127.0.0.1:80", "127.0.0.1:80"],
  ["[::1]:443", "[::1]:443"],
  ["[::ffff:127.0.0.1]:443", "[::ffff:7f00:1]:443"],
  ["127.1:443", "127.0.0.1:443"],
  ["0x7f000001:443", "127.0.0.1:443"],
  ["2130706433:5000", "127.0.0.1:5000"],
])("%s is the target %s", (text, target) => {
  expect(authorityOf(parseAuthority(text)!)).toBe(target);
});

test.each([
  ...["", "example.org", "example.org:", ":443", "example.org:0", "example.org:65536", "a:b"],
  ...[
    "http://example.org:443",
    "example.org:443/",
    "me@example.org:443",
    "example.org:443#",
    "a:1:2",
  ],
  ...[
    "[::1",
    "[::1]",
    "::1:443",
    "[zz]:443",
    "exa mple:443",
    "ex\tample:443",
    "é.org:443",
    "-a:443",
  ],
])("%j is no target", (text) => {
  expect(parseAuthority(text)).toBeNull();
});

test("any text is a target of one host and one port, or none", () => {
  const piece = fc.constantFrom(
    "a",
    ".",
    ":",
    "[",
    "]",
    "@",
    "/",
    "443",
    "127.0.0.1",
    "%",
    " ",
    "0x7f",
  );
  const texts = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 12 }).map((all) => all.join("")),
  );

  fc.assert(
    fc.property(texts, (text) => {
      const target = parseAuthority(text);
      if (target === null) return;
      expect(target.username + target.password + target.search + target.hash).toBe("");
      expect(target.pathname).toBe("/");
      expect(authorityOf(parseAuthority(authorityOf(target))!)).toBe(authorityOf(target));
    }),
    { numRuns: 3_000 },
  );
});
