// Which sources a pattern of the fleet's settings names.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { isUrlPattern, matchesUrl, mostSpecific } from "../../src/net/url-pattern.ts";

test.each([
  ["example.org", "http://example.org/a", true],
  ["example.org", "https://EXAMPLE.org:8443/a", true],
  ["example.org", "http://www.example.org/", false],
  ["EXAMPLE.org", "http://example.org/", true],
  ["*.example.org", "http://a.b.example.org/", true],
  ["*.example.org", "http://example.org/", false],
  ["*.example.org", "http://badexample.org/", false],
  ["*", "http://10.0.0.7/x", true],
  ["example.org:80", "http://example.org/", true],
  ["example.org:80", "https://example.org/", false],
  ["https://example.org", "http://example.org/", false],
  ["example.org/private/", "http://example.org/private/a", true],
  ["example.org/private/", "http://example.org/public/private/", false],
  ["example.org/*.iso", "http://example.org/a/b.iso", true],
  ["example.org/a*b*c", "http://example.org/a-c-b", false],
  ["[2001:db8::1]:8080/x", "http://[2001:db8::1]:8080/xy", true],
] as const)("%s and %s: %p", (pattern, url, isMatch) => {
  expect(isUrlPattern(pattern)).toBe(true);
  expect(matchesUrl(pattern, new URL(url))).toBe(isMatch);
});

test.each([
  "",
  "ftp://a",
  "a b",
  "*a.org",
  "a.*.org",
  "a:0",
  "a:70000",
  "a?x=1",
  "user@host",
  "-a",
])("%p is no pattern and matches nothing", (text) => {
  expect(isUrlPattern(text)).toBe(false);
});

test("any text is judged without an error, and what is no pattern matches nothing", () => {
  fc.assert(
    fc.property(fc.string(), fc.webUrl(), (text, url) => {
      const isMatch = matchesUrl(text, new URL(url));

      if (!isUrlPattern(text)) expect(isMatch).toBe(false);
    }),
  );
});

test("a host and the begin of a path of any URL name it", () => {
  fc.assert(
    fc.property(fc.webUrl(), fc.nat(50), (text, length) => {
      const url = new URL(text);
      const pattern = `${url.hostname}${url.pathname.slice(0, 1 + length).replaceAll("*", "")}`;

      if (isUrlPattern(pattern) && !url.pathname.includes("*"))
        expect(matchesUrl(pattern, url)).toBe(true);
    }),
  );
});

test("of several rules the one that says most counts", () => {
  const rules = { "*": 1, "*.example.org": 2, "cdn.example.org": 3, "cdn.example.org/iso/": 4 };

  expect(mostSpecific(rules, new URL("http://cdn.example.org/iso/a"))).toBe(4);
  expect(mostSpecific(rules, new URL("http://cdn.example.org/a"))).toBe(3);
  expect(mostSpecific(rules, new URL("http://www.example.org/a"))).toBe(2);
  expect(mostSpecific(rules, new URL("http://other.org/a"))).toBe(1);
});
