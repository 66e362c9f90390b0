// What a registry's 401 says it wants to see.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { bearerOf, parseChallenges, type Challenge } from "../../../src/net/registry/challenge.ts";

const token = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,8}$/);
const token68 = fc.stringMatching(/^[A-Za-z0-9._~+/-]{1,12}={0,2}$/);
const text = fc.string({ maxLength: 12 }).map((one) => one.replaceAll(/[\r\n\0]/g, ""));

const challenge: fc.Arbitrary<Challenge> = fc.oneof(
  fc.record({ scheme: lower(token), token68: fc.constant(null), parameters: fc.constant({}) }),
  fc.record({ scheme: lower(token), token68, parameters: fc.constant({}) }),
  fc.record({
    scheme: lower(token),
    token68: fc.constant(null),
    parameters: fc
      .uniqueArray(fc.tuple(lower(token), text), { selector: ([name]) => name, minLength: 1 })
      .map((pairs) => Object.fromEntries(pairs)),
  }),
);

function lower(words: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return words.map((word) => word.toLowerCase()).filter((word) => word !== "__proto__");
}

function written({ scheme, token68: data, parameters }: Challenge): string {
  const pairs = Object.entries(parameters).map(
    ([name, value]) => `${name}="${value.replaceAll(/["\\]/g, (one) => `\\${one}`)}"`,
  );
  return [scheme, data ?? pairs.join(", ")].join(" ").trimEnd();
}

test("a list of challenges is read as it was written", () => {
  fc.assert(
    fc.property(fc.array(challenge, { maxLength: 4 }), (challenges) => {
      const field = challenges.map(written).join(", ");
      fc.pre(field.length <= 4_096);

      expect(parseChallenges(field)).toEqual(challenges);
    }),
    { numRuns: 500 },
  );
});

test("garbage is refused or read, quickly and without a fault", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300, unit: "binary" }), (field) => {
      const challenges = parseChallenges(field);
      expect(challenges === null || Array.isArray(challenges)).toBe(true);
    }),
    { numRuns: 500 },
  );
  for (const worst of [
    'Bearer a="'.repeat(400),
    "a=".repeat(2_000),
    ", ".repeat(2_000),
    " ".repeat(4_000),
  ])
    expect(() => parseChallenges(worst)).not.toThrow();
});

describe("the Bearer challenge is found", () => {
  const hub = {
    realm: "https://auth.docker.io/token",
    service: "registry.docker.io",
    scope: "repository:library/alpine:pull",
  };
  test.each([
    [
      "as registries write it",
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"',
      hub,
    ],
    [
      "behind others, with spaces and in any case",
      'Negotiate, Basic realm="x, y", bEARER  REALM = "https://auth.docker.io/token" , service=registry.docker.io,,scope="repository:library/alpine:pull",error="invalid_token"',
      hub,
    ],
    [
      "without service and scope",
      'Bearer realm="http://127.0.0.1:1/t"',
      { realm: "http://127.0.0.1:1/t", service: "", scope: "" },
    ],
  ])("%s", (_, field, expected) => {
    expect(bearerOf(field)).toEqual(expected);
  });
});

test.each([
  ["nothing", undefined],
  ["another scheme", 'Basic realm="https://a/"'],
  ["no realm", 'Bearer service="a"'],
  ["a realm that is no URL", 'Bearer realm="somewhere"'],
  ["a realm of another protocol", 'Bearer realm="file:///etc/passwd"'],
  ["a parameter that is there twice", 'Bearer realm="https://a/",realm="https://b/"'],
  ["a quoted string without an end", 'Bearer realm="https://a/'],
  ["words where a comma belongs", 'Bearer realm="https://a/" service="b"'],
  ["a scheme behind another one without a comma", 'Basic Bearer realm="https://a/"'],
  ["a longer field than any registry sends", `Bearer realm="https://a/${"a".repeat(4_096)}"`],
])("no Bearer challenge is found in %s", (_, field) => {
  expect(bearerOf(field)).toBeNull();
});
