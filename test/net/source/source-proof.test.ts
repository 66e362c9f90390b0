// What a registry says to HEAD, and what is asked instead where that says nothing.

import { afterEach, expect, test } from "bun:test";
import { isDfError } from "../../../src/errors.ts";
import { RetryGate } from "../../../src/net/source/retry-gate.ts";
import { proveAtSource } from "../../../src/net/source/source-proof.ts";
import { egressFixture } from "../../fixtures/egress-fixture.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;
const servers: Bun.Server<undefined>[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(true);
});

function serve(answer: (request: Request) => Response): string {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
  servers.push(server);
  return `http://127.0.0.1:${server.port}`;
}

function prove(url: string) {
  const timeoutMs = { connect: 2_000, firstByte: 2_000 };
  const request = { url, headers: {}, timeoutMs, egress: egressFixture(), digest: DIGEST };
  const gate = new RetryGate();
  return proveAtSource({ ...request, method: "HEAD" }, gate, new AbortController().signal);
}

const oneByte = (): Response =>
  new Response("x", { status: 206, headers: { "content-range": "bytes 0-0/700" } });

test("a registry's word is its answer to HEAD; the digest names the version, whatever its tags say", async () => {
  const methods: string[] = [];
  const url = serve((request) => {
    methods.push(request.method);
    return new Response(null, { headers: { "content-length": "700", etag: '"of the day"' } });
  });

  expect(await prove(url)).toMatchObject({ validator: `"${DIGEST}"`, length: 700 });
  expect(methods).toEqual(["HEAD"]);
});

test.each([
  ["a registry that knows no HEAD", 405],
  ["a registry that has not made it", 501],
])("%s is asked for one byte", async (_, status) => {
  const url = serve((request) =>
    request.method === "HEAD" ? new Response(null, { status }) : oneByte(),
  );

  expect(await prove(url)).toMatchObject({ length: 700 });
});

test("a store that a registry leads to, and that is signed for GET alone, is asked for one byte", async () => {
  const store = serve((request) =>
    request.method === "HEAD" ? new Response(null, { status: 403 }) : oneByte(),
  );
  const url = serve(() => Response.redirect(`${store}/signed`, 307));

  expect(await prove(url)).toMatchObject({ length: 700 });
});

test.each([
  [401, "source-unauthorized"],
  [403, "source-forbidden"],
  [404, "source-not-found"],
])("a registry's own %d is its word", async (status, code) => {
  const methods: string[] = [];
  const url = serve((request) => {
    methods.push(request.method);
    return new Response(null, { status });
  });

  const error = await prove(url).catch((thrown: unknown) => thrown);

  expect(isDfError(error)).toBe(true);
  expect(error).toMatchObject({ code, refusal: { status } });
  expect(methods).toEqual(["HEAD"]);
});
