// Where the next page of a registry's list is, to a client of the mirror.

import { expect, test } from "bun:test";
import { rewriteLinks } from "../../../src/net/registry/link-field.ts";

const PLACE = {
  url: "https://reg.example/v2/team/app/tags/list?n=2",
  path: "/v2/reg.example/team/app/tags/list",
  ns: null,
};

test.each([
  ["a path", '</v2/team/app/tags/list?last=b&n=2>; rel="next"'],
  ["an absolute URL", '<https://reg.example/v2/team/app/tags/list?last=b&n=2>; rel="next"'],
  ["a query alone", '<?last=b&n=2>; rel="next"'],
  [
    "what a registry behind TLS that others open calls itself",
    '<http://reg.example:8080/v2/team/app/tags/list?last=b&n=2>; rel="next"',
  ],
])("%s becomes the path that the client used", (_what, field) => {
  expect(rewriteLinks(field, PLACE)).toBe(
    '</v2/reg.example/team/app/tags/list?last=b&n=2>; rel="next"',
  );
});

test("what named the registry is in the next page's query too", () => {
  const place = { ...PLACE, path: "/v2/team/app/tags/list", ns: "reg.example:5000" };

  expect(rewriteLinks("</v2/team/app/tags/list?last=b>; rel=next", place)).toBe(
    "</v2/team/app/tags/list?last=b&ns=reg.example%3A5000>; rel=next",
  );
});

test("links to anywhere else are left out", () => {
  const next = "</v2/team/app/tags/list?last=b>; rel=next";
  const others = "<https://evil.example/v2/team/app/tags/list?last=c>; rel=next, </other>; rel=up";

  expect(rewriteLinks(`${others}, ${next}`, PLACE)).toBe(
    "</v2/reg.example/team/app/tags/list?last=b>; rel=next",
  );
  expect(rewriteLinks(others, PLACE)).toBeNull();
  expect(rewriteLinks("nonsense", PLACE)).toBeNull();
});
