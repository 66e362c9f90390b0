// Which requests may be shared: one wrong "public" hands a user's file to strangers.

import { expect, test } from "bun:test";
import { taskIdOf } from "../../src/engine/bytes/task-id.ts";
import { redactUrl, taskFieldsOf, visibilityOf } from "../../src/net/task-request.ts";

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
