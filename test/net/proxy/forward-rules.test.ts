// Rules of the proxy: how they are written, which one counts, and where they lead.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  chooseWay,
  type ForwardRule,
  parseForwardRule,
} from "../../../src/net/proxy/forward-rules.ts";

function rules(...texts: string[]): ForwardRule[] {
  return texts.map((text) => parseForwardRule(text)!);
}

function wayOf(url: string, ...texts: string[]): [string | null, string] {
  const { way, url: changed } = chooseWay(new URL(url), rules(...texts));
  return [way, changed.href];
}

test("the first rule that matches counts, and without one a request goes to its target", () => {
  const both = ["files.lan/private/*=direct", "files.lan=swarm"];

  expect(wayOf("http://files.lan/private/a", ...both)).toEqual([
    "direct",
    "http://files.lan/private/a",
  ]);
  expect(wayOf("http://files.lan/a", ...both)).toEqual(["swarm", "http://files.lan/a"]);
  expect(wayOf("http://files.lan/private/a", ...both.toReversed())[0]).toBe("swarm");
  expect(wayOf("http://other.lan/a", ...both)).toEqual([null, "http://other.lan/a"]);
});

test.each([
  ["http://files.lan/a?x=1", "files.lan=tls", "swarm", "https://files.lan/a?x=1"],
  ["http://files.lan:8080/a", "files.lan=tls+direct", "direct", "https://files.lan:8080/a"],
  ["https://files.lan/a", "files.lan=tls", "swarm", "https://files.lan/a"],
  [
    "https://registry.npmjs.org/a/-/a-1.tgz?y=%20z",
    "registry.npmjs.org=rewrite=http://npm.lan/mirror/",
    ...["swarm", "http://npm.lan/mirror/a/-/a-1.tgz?y=%20z"],
  ],
  [
    "https://old.lan/pool/main/a.deb",
    "old.lan/pool/=direct+rewrite=https://new.lan:8443/archive/",
    ...["direct", "https://new.lan:8443/archive/main/a.deb"],
  ],
  [
    "https://old.lan/pool/main/a.deb",
    "old.lan/pool/*.deb=rewrite=https://new.lan/p/",
    ...["swarm", "https://new.lan/p/main/a.deb"],
  ],
  ["http://files.lan/a=b/c", "files.lan/a=b/*=swarm", "swarm", "http://files.lan/a=b/c"],
])("%s by %s goes %s to %s", (url, rule, way, changed) => {
  expect(wayOf(url, rule)).toEqual([way, changed]);
});

test.each([
  ...["", "files.lan", "files.lan=", "=swarm", "files.lan=fast", "files.lan=swarm+direct"],
  ...["files.lan=swarm+swarm", "files.lan=rewrite=", "files.lan=rewrite=ftp://a/", "a b=swarm"],
  ...["files.lan=rewrite=http://me:secret@a/", "files.lan=rewrite=http://a/?b=c"],
  ...["files.lan=tls+rewrite=http://a/", "files.lan:0=swarm"],
])("%j is no rule", (text) => {
  expect(parseForwardRule(text)).toBeNull();
});

test("no rewriting leads to another host than the rule names, whatever the path", () => {
  const [rule] = rules("*/pool/=rewrite=http://new.lan/p/");

  const piece = fc.constantFrom(
    "a",
    "/",
    "//",
    "..",
    "%2e%2e",
    "\\",
    "@",
    ":",
    "?",
    "#",
    "evil.lan",
    "%2f",
  );
  const paths = fc.array(piece, { maxLength: 10 }).map((all) => all.join(""));

  fc.assert(
    fc.property(paths, (path) => {
      const url = new URL(`http://old.lan/pool/${path}`);
      const { url: changed, way } = chooseWay(url, [rule!]);
      if (way === null) return;
      expect(changed.origin).toBe("http://new.lan");
      expect(changed.pathname.startsWith("/p/")).toBe(true);
      expect(changed.search).toBe(url.search);
    }),
  );
});

test("T-15: no rewriting leads out of the folder that its rule names", () => {
  const [rule] = rules("old.lan/pool=rewrite=http://new.lan/open/");

  for (const path of ["/pool../closed/a", "/pool%2e%2e/closed/a", "/pool.%2E\\closed/a"]) {
    const url = new URL(`http://old.lan${path}`);
    expect(chooseWay(url, [rule!])).toEqual({ way: null, url });
  }
  expect(chooseWay(new URL("http://old.lan/pool../open/a"), [rule!]).url.href).toBe(
    "http://new.lan/open/a",
  );
});
