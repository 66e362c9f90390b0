// Which requests may be shared: one wrong "public" hands a user's file to strangers.

import { expect, test } from "bun:test";
import { taskIdOf } from "../../src/engine/bytes/task-id.ts";
import {
  redactUrl,
  splitRequest,
  taskFieldsOf,
  unknownPartsOf,
  visibilityOf,
  wholeRequestOf,
} from "../../src/net/task-request.ts";

const URL_PLAIN = "http://files.example/a/b.iso";

test.each([
  ["a plain URL", URL_PLAIN, {}],
  ["a query without secrets", `${URL_PLAIN}?version=3&arch=x64`, {}],
  ["a User-Agent", URL_PLAIN, { "User-Agent": "curl/8" }],
  ["Accept: */*", URL_PLAIN, { Accept: "*/*" }],
  ["a trace header", URL_PLAIN, { traceparent: "00-1-2-03" }],
])("%s is public", (_, url, headers) => {
  expect(visibilityOf({ url, headers })).toEqual({ kind: "public" });
});

test.each([
  ["a user in the URL", "http://me@files.example/x", {}, "user"],
  ["a password in the URL", "http://me:secret@files.example/x", {}, "user"],
  ["an S3 signature", `${URL_PLAIN}?X-Amz-Signature=secret`, {}, "X-Amz-Signature"],
  ["a signature in lower case", `${URL_PLAIN}?x-goog-signature=secret`, {}, "x-goog-signature"],
  ["an OSS signature", `${URL_PLAIN}?OSSAccessKeyId=i&Signature=secret`, {}, "OSSAccessKeyId"],
  ["an Azure signature", `${URL_PLAIN}?sv=1&sig=secret`, {}, "sig"],
  ["a token", `${URL_PLAIN}?access_token=secret`, {}, "access_token"],
  ["a percent-encoded name", `${URL_PLAIN}?%73ig=secret`, {}, "sig"],
  ["Authorization", URL_PLAIN, { authorization: "Bearer secret" }, "authorization"],
  ["a cookie", URL_PLAIN, { Cookie: "secret" }, "Cookie"],
  ["a header we do not know", URL_PLAIN, { "X-Api-Key": "secret" }, "X-Api-Key"],
  ["an Accept that picks a form", URL_PLAIN, { Accept: "text/html" }, "Accept"],
  ["a compressed form", URL_PLAIN, { "Accept-Encoding": "gzip" }, "Accept-Encoding"],
  ["a Referer with a query", URL_PLAIN, { Referer: "http://x/?token=secret" }, "Referer"],
  ["a header named like a property", URL_PLAIN, { constructor: "secret" }, "constructor"],
])("%s is private, and the reason holds no value", (_, url, headers, because) => {
  const visibility = visibilityOf({ url, headers });

  expect(visibility).toMatchObject({ kind: "private" });
  expect(JSON.stringify(visibility)).toContain(because);
  expect(JSON.stringify(visibility)).not.toContain("secret");
});

test("a header that was declared public is public, a credential never is", () => {
  const headers = { "X-Channel": "beta" };
  expect(visibilityOf({ url: URL_PLAIN, headers }, ["x-channel"]).kind).toBe("public");

  const credential = { Authorization: "Bearer x" };
  expect(visibilityOf({ url: URL_PLAIN, headers: credential }, ["authorization"]).kind).toBe(
    "private",
  );
});

test("a public header's value names the task, a neutral one does not", () => {
  const idOf = (headers: Record<string, string>) =>
    taskIdOf(taskFieldsOf({ url: URL_PLAIN, headers }, "public"));

  expect(idOf({ "X-Channel": "beta" })).not.toBe(idOf({ "X-Channel": "stable" }));
  expect(idOf({ "User-Agent": "a" })).toBe(idOf({ "User-Agent": "b" }));
});

test("a credential never enters an ID", () => {
  const idOf = (secret: string) =>
    taskIdOf(
      taskFieldsOf(
        { url: `http://u:${secret}@h/x`, headers: { Authorization: secret } },
        "private",
      ),
    );

  expect(idOf("one")).toBe(idOf("two"));
});

test("a shown URL has neither user nor query values", () => {
  expect(redactUrl("https://u:p@h.example/a?sig=secret")).toBe("https://h.example/a?…");
  expect(redactUrl("no url?secret")).toBe("no url?…");
});

const S3 = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=canary&X-Amz-Signature=canary";

test.each([
  ["user info", "http://u:canary@h.example/x?v=1", "http://h.example/x?v=1"],
  ["an S3 signature", `http://h.example/x?v=1&${S3}`, "http://h.example/x?v=1"],
  ["a signature in between", `http://h.example/x?a=%20b&&${S3}&c`, "http://h.example/x?a=%20b&c"],
  [
    "a SAS",
    "http://h.example/x?sv=1&se=2&sr=b&sig=canary&snapshot=3",
    "http://h.example/x?snapshot=3",
  ],
  [
    "an expiry",
    "http://h.example/x?Expires=9&Signature=canary&Key-Pair-Id=1",
    "http://h.example/x",
  ],
  ["a percent-encoded name", "http://h.example/x?%73ig=canary", "http://h.example/x"],
  ["a token", "http://h.example/x?token=canary#part", "http://h.example/x"],
  // The mark was taken for the query's own, and the request refused as one with another's credentials.
  ["what stands beside a name with a mark", "http://h.example/x??&sig=a", "http://h.example/x??"],
])("a URL is taken apart: %s goes to the credentials alone", (_, url, bare) => {
  const split = splitRequest({ url });

  expect(split.url).toBe(bare);
  expect(split.credentials).toEqual({ url, headers: {} });
  expect(wholeRequestOf({ ...split, headers: {} }).url).toBe(url);
});

test("header fields are taken apart: neutral and declared ones stay, all else are credentials", () => {
  const headers = { "User-Agent": "x", "X-Channel": "beta", "X-Mode": "canary", Cookie: "canary" };

  const split = splitRequest({ url: URL_PLAIN, headers }, ["x-channel", "cookie"]);

  expect(split.headers).toEqual({ "User-Agent": "x", "X-Channel": "beta" });
  expect(split.credentials!.headers).toEqual({ "X-Mode": "canary", Cookie: "canary" });
  expect(wholeRequestOf(split).headers).toEqual(headers);
});

test("a public request has no credentials and keeps its URL as it is", () => {
  const url = `${URL_PLAIN}?b=2&a=1`;
  expect(splitRequest({ url, headers: { Accept: "*/*" } })).toEqual({
    url,
    headers: { Accept: "*/*" },
  });
});

test("T-05: credentials of one URL prove nothing for another", () => {
  const bait = { url: "http://files.example/secret", headers: {} };
  const own = { url: "http://mine.example/bait", headers: { Authorization: "x" } };

  expect(() => wholeRequestOf({ ...bait, credentials: own })).toThrow(TypeError);
  const twice = { url: bait.url, headers: { Authorization: "a", authorization: "b" } };
  expect(() => wholeRequestOf({ ...bait, credentials: twice })).toThrow(TypeError);
  const signed = { ...bait, url: `${bait.url}?sig=x` };
  expect(() => wholeRequestOf({ ...signed, credentials: signed })).toThrow(TypeError);
});

test("what may choose the bytes tells requests apart, what only says who asks does not", () => {
  const partsOf = (url: string, headers = {}) =>
    unknownPartsOf(splitRequest({ url, headers }).credentials!);

  expect(partsOf(URL_PLAIN, { Authorization: "a" })).toEqual(partsOf(`${URL_PLAIN}?sig=b`));
  expect(partsOf(URL_PLAIN, { "X-Mode": "a" })).not.toEqual(partsOf(URL_PLAIN, { "X-Mode": "b" }));
  // A pager's word is a signer's word.
  expect(partsOf(`${URL_PLAIN}?token=1`)).not.toEqual(partsOf(`${URL_PLAIN}?token=2`));
});

test("T-06: two signatures of one object are one task, private and apart from the public one", () => {
  const idOf = (url: string) => {
    const split = splitRequest({ url });
    return taskIdOf(taskFieldsOf(split, split.credentials === undefined ? "public" : "private"));
  };

  expect(idOf(`${URL_PLAIN}?${S3}&v=1`)).toBe(idOf(`${URL_PLAIN}?v=1&X-Amz-Signature=other`));
  expect(idOf(`${URL_PLAIN}?${S3}`)).not.toBe(idOf(URL_PLAIN));
});

test("a sealed public task and a variant have IDs of their own", () => {
  const fields = taskFieldsOf({ url: URL_PLAIN }, "public");
  const sealed = taskFieldsOf({ url: URL_PLAIN, isSealed: true }, "public");
  const plain = taskFieldsOf({ url: URL_PLAIN, isSealed: false }, "public");
  const ids = [fields, sealed, { ...fields, variant: "a" }, { ...fields, variant: "b" }];

  expect(new Set(ids.map(taskIdOf)).size).toBe(4);
  expect(taskIdOf(plain)).toBe(taskIdOf(fields));
});
