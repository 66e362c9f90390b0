// Identity: what makes two tasks or versions one, and what must keep them apart.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  contentIdOf,
  isOfDigest,
  ownershipOf,
  taskIdOf,
  type TaskFields,
} from "../../../src/engine/bytes/task-id.ts";

const word = fc.stringMatching(/^[a-z0-9:,|/=]{0,6}$/);
const pathWord = fc.stringMatching(/^[a-z0-9]{0,3}$/);

const fields = fc.record({
  scheme: fc.constantFrom("http", "https"),
  host: fc.constantFrom("a", "a.b", "b"),
  port: fc.constantFrom("", ":81", ":8080"),
  path: fc.array(pathWord, { maxLength: 3 }).map((words) => words.join("/")),
  query: fc.uniqueArray(fc.tuple(fc.constantFrom("k", "l", "m"), pathWord), {
    maxLength: 3,
    selector: ([name]) => name,
  }),
  range: fc.constantFrom("", "0-1", "1-2"),
  checksum: word,
  tag: word,
  header: fc.option(word, { nil: null }),
  visibility: fc.constantFrom("public" as const, "private" as const),
});
type Tuple = typeof fields extends fc.Arbitrary<infer T> ? T : never;

function toFields(tuple: Tuple): TaskFields {
  const query = tuple.query.map(([name, value]) => `${name}=${value}`).join("&");
  return {
    url: `${tuple.scheme}://${tuple.host}${tuple.port}/${tuple.path}?${query}`,
    range: tuple.range,
    checksum: tuple.checksum,
    tag: tuple.tag,
    publicHeaders: tuple.header === null ? {} : { Accept: tuple.header },
    visibility: tuple.visibility,
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function canonical(tuple: Tuple): string {
  return JSON.stringify({
    ...tuple,
    query: tuple.query.map(([name, value]) => `${name}=${value}`).toSorted(compare),
  });
}

test("T-04: two tasks have one ID exactly when all their fields agree", () => {
  fc.assert(
    fc.property(fields, fields, (a, b) => {
      expect(taskIdOf(toFields(a)) === taskIdOf(toFields(b))).toBe(canonical(a) === canonical(b));
    }),
    { numRuns: 500 },
  );
});

test("changing one field alone changes the ID", () => {
  fc.assert(
    fc.property(fields, fields, (a, b) => {
      for (const key of Object.keys(a) as (keyof Tuple)[]) {
        const changed = { ...a, [key]: b[key] };
        expect(taskIdOf(toFields(changed)) === taskIdOf(toFields(a))).toBe(
          canonical(changed) === canonical(a),
        );
      }
    }),
  );
});

test.each([
  ["the order of parameters", "http://a/b?x=1&y=2", "http://a/b?y=2&x=1"],
  ["user info", "http://a/b", "http://user:secret@a/b"],
  ["a default port and the case of the host", "http://a/b", "http://A:80/b"],
  ["a fragment", "http://a/b", "http://a/b#c"],
  ["an empty query", "http://a/b", "http://a/b?"],
  ["a filtered parameter", "http://a/b?x=1", "http://a/b?sig=123&x=1&s%69g=4"],
])("%s makes no other task", (_, one, other) => {
  const id = (url: string) => taskIdOf({ url, filterQuery: ["sig"], visibility: "public" });

  expect(id(one)).toBe(id(other));
});

test.each([
  ["the order of equal parameters", "http://a/b?x=1&x=2", "http://a/b?x=2&x=1"],
  ["the spelling of a value", "http://a/b?x=%41", "http://a/b?x=A"],
  ["a parameter without a value", "http://a/b?x", "http://a/b?x="],
  ["the case of a path", "http://a/b", "http://a/B"],
])("%s may make other bytes", (_, one, other) => {
  expect(taskIdOf({ url: one, visibility: "public" })).not.toBe(
    taskIdOf({ url: other, visibility: "public" }),
  );
});

test("the ID of a known task never changes between releases", () => {
  expect(taskIdOf({ url: "http://example.com/file?b=2&a=1", visibility: "public" })).toBe(
    "7c29ad79a409d4f216e9106d312e0ae932df86a459357248e5f7c77a7f5c0345",
  );
});

test("versions of a task have IDs of their own, also when only the length differs", () => {
  const taskId = taskIdOf({ url: "http://a/b", visibility: "public" });
  const ids = [
    contentIdOf(taskId, '"1"', 10),
    contentIdOf(taskId, '"1"', 11),
    contentIdOf(taskId, '"1"', null),
    contentIdOf(taskId, '"11"', 0),
    contentIdOf(taskId, '"2"', 10),
  ];

  expect(new Set(ids).size).toBe(ids.length);
  expect(contentIdOf(taskId, '"1"', 10)).toBe(ids[0]!);
});

const DIGEST = `sha256:${"ab".repeat(32)}`;
const OTHER_DIGEST = `sha256:${"cd".repeat(32)}`;

test("a digest names a task: of its URL only the origin counts", () => {
  fc.assert(
    fc.property(fields, fields, fc.boolean(), (a, b, isSame) => {
      const [one, other] = [toFields(a), toFields(b)];
      const digests = [DIGEST, isSame ? DIGEST : OTHER_DIGEST] as const;
      const ids = [
        taskIdOf({ ...one, digest: digests[0] }),
        taskIdOf({ ...other, digest: digests[1] }),
      ] as const;
      const isOne =
        isSame &&
        new URL(one.url).origin === new URL(other.url).origin &&
        one.visibility === other.visibility;

      expect(ids[0] === ids[1]).toBe(isOne);
      expect(ids.every((id) => /^[0-9a-f]{64}$/.test(id) && isOfDigest(id))).toBe(true);
      // Whatever the origins: one owner.
      expect(ownershipOf(ids[0]) === ownershipOf(ids[1])).toBe(isSame);
    }),
  );
});

test("a plain task's owner is decided by all of its ID", () => {
  fc.assert(
    fc.property(fields, (one) => {
      const id = taskIdOf(toFields(one));
      expect([ownershipOf(id), isOfDigest(id)]).toEqual([id, false]);
    }),
  );
});

test("what is sealed, and a tag of a registry, are tasks apart", () => {
  const url = "http://a/v2/b/manifests/c";
  const fieldsOf = (more: Partial<TaskFields>): TaskFields => ({
    url,
    visibility: "public",
    ...more,
  });
  const ids = [
    fieldsOf({}),
    fieldsOf({ isTag: true }),
    fieldsOf({ digest: DIGEST }),
    fieldsOf({ digest: DIGEST, isSealed: true }),
    fieldsOf({ digest: DIGEST, visibility: "private" }),
  ].map(taskIdOf);

  expect(new Set(ids).size).toBe(5);
});
