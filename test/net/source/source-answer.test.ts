// Parsing of what sources say in headers, and of names that mean another machine elsewhere.

import { describe, expect, test } from "bun:test";
import { assert, property, string } from "fast-check";
import { isLocalName } from "../../../src/net/source/local-name.ts";
import { contentRangeOf, validatorOf } from "../../../src/net/source/source-answer.ts";
import { parseRetryAfter } from "../../../src/net/source/http-date.ts";

describe("Content-Range", () => {
  test.each([
    ["bytes 0-9/10", { bytes: { first: 0, last: 9 }, total: 10 }],
    ["bytes 5-5/*", { bytes: { first: 5, last: 5 }, total: null }],
    ["bytes */0", { bytes: null, total: 0 }],
    ["bytes 9-0/10", null],
    ["bytes 0-10/10", null],
    ["bytes 0-9", null],
    ["items 0-9/10", null],
    ["bytes -1-9/10", null],
    ["bytes 0-9/10, bytes 0-9/10", null],
  ])("%s", (text, expected) => {
    expect(contentRangeOf({ "content-range": text })).toEqual(expected);
  });

  test("any text parses to a range that makes sense or to none", () => {
    assert(
      property(string(), (text) => {
        const range = contentRangeOf({ "content-range": `bytes ${text}` });
        if (range?.bytes) expect(range.bytes.last).toBeGreaterThanOrEqual(range.bytes.first);
      }),
    );
  });
});

describe("the validator", () => {
  const date = "Mon, 01 Jan 2024 00:02:00 GMT";
  test.each([
    [{ etag: '"a"', date, "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT" }, '"a"'],
    [{ etag: 'W/"a"' }, null],
    [{ etag: "unquoted" }, null],
    [{ date, "last-modified": "Mon, 01 Jan 2024 00:01:00 GMT" }, "Mon, 01 Jan 2024 00:01:00 GMT"],
    [{ date, "last-modified": "Mon, 01 Jan 2024 00:01:01 GMT" }, null],
    [{ "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT" }, null],
    [{}, null],
  ])("of %j is %j", (headers, expected) => {
    expect(validatorOf(headers)).toBe(expected);
  });
});

test.each([
  ["120", 120_000],
  ["0", 0],
  ["Thu, 01 Jan 1970 00:01:40 GMT", 100_000 - 40_000],
  ["Thu, 01 Jan 1970 00:00:01 GMT", 0],
  ["soon", null],
  ["-5", null],
  [undefined, null],
])("Retry-After %j at second 40 means %j ms", (value, expected) => {
  expect(parseRetryAfter(value, 40_000)).toBe(expected);
});

test.each([
  ["http://localhost/", true],
  ["http://LOCALHOST./", true],
  ["http://a.localhost/", true],
  ["http://printer.local/", true],
  ["http://nas/", true],
  ["http://127.0.0.1/", true],
  ["http://0x7f.1/", true],
  ["http://2130706433/", true],
  ["http://0.0.0.0/", true],
  ["http://169.254.169.254/", true],
  ["http://[::1]/", true],
  ["http://[::]/", true],
  ["http://[fe80::1]/", true],
  ["http://[::ffff:127.0.0.1]/", true],
  ["http://[::ffff:169.254.1.1]/", true],
  ["http://10.0.0.1/", false],
  ["http://192.168.1.1/", false],
  ["http://128.0.0.1/", false],
  ["http://[2001:db8::1]/", false],
  ["http://[::ffff:10.0.0.1]/", false],
  ["http://example.org/", false],
  ["http://127.example.org/", false],
])("whether %s means another machine elsewhere: %p", (url, expected) => {
  expect(isLocalName(new URL(url).hostname)).toBe(expected);
});
