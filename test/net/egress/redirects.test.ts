// Redirects: each hop is checked anew, and nothing that was meant for one origin arrives at another.

import { afterEach, describe, expect, test } from "bun:test";
import type { DfError } from "../../../src/errors.ts";
import type { EgressPolicy } from "../../../src/net/egress/egress-policy.ts";
import type { ResolveName } from "../../../src/net/egress/resolve-name.ts";
import { type BadSource, type Reply, startBadSource } from "../../fixtures/bad-source.ts";
import { egressFixture } from "../../fixtures/egress-fixture.ts";
import { startSentinel } from "../../fixtures/sentinel.ts";
import { memorySink, read, sampleBytes } from "../source/memory-sink.ts";

const content = sampleBytes(100_000);
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUps.splice(0).toReversed()) await step();
});

async function source(script: (reply: Reply) => unknown): Promise<BadSource> {
  const started = await startBadSource(script);
  cleanUps.push(() => started.stop());
  return started;
}

const redirecting = (to: string, status = 302) =>
  source((reply) => reply.head(status, { location: to, "content-length": 0 }));

const failureOf = (reading: Promise<unknown>): Promise<DfError> =>
  reading.then(
    () => Promise.reject(new Error("expected a failure")),
    (error: DfError) => error,
  );

/** A service that others reach and that may read this one source, at a public name. */
function egress(port: number, policy: Partial<EgressPolicy> = {}, more: ResolveName | null = null) {
  const resolve: ResolveName = (hostname) =>
    hostname === "files.example" || more === null
      ? Promise.resolve([{ address: "127.0.0.1", family: 4 }])
      : more(hostname);
  const allow = [`files.example:${port}`];
  return egressFixture({ reach: "network", allow, ...policy }, { resolve });
}

describe("T-12: a redirect", () => {
  test.each([
    ["to loopback", (port: number) => `http://127.0.0.1:${port}/`],
    ["to loopback by another notation", (port: number) => `http://0x7f.1:${port}/`],
    ["to loopback within IPv6", (port: number) => `http://[::ffff:7f00:1]:${port}/`],
    ["to a name that means loopback", (port: number) => `http://inner.example:${port}/`],
    ["to localhost", (port: number) => `http://localhost:${port}/`],
    ["without a scheme", (port: number) => `//127.0.0.1:${port}/`],
    ["to the cloud's metadata", () => "http://169.254.169.254/latest/meta-data/"],
    ["to a port that is another service's", () => "http://10.0.0.1:6379/x".replace("6379", "6000")],
  ])("%s is refused and not followed, whatever the status", async (_what, to) => {
    const sentinel = await startSentinel();
    cleanUps.push(() => sentinel.stop());
    for (const status of [301, 302, 303, 307, 308]) {
      const first = await redirecting(to(sentinel.port), status);
      const url = `http://files.example:${first.port}/file`;

      const failure = await failureOf(read(url, memorySink(), { egress: egress(first.port) }));

      expect([failure.code, first.requests.length]).toEqual(["denied", 1]);
    }
    expect(sentinel.connections).toBe(0);
  });

  test("is refused at the end of a chain too, where every other hop was allowed", async () => {
    const sentinel = await startSentinel();
    cleanUps.push(() => sentinel.stop());
    const last = await redirecting(`http://127.0.0.1:${sentinel.port}/`);
    const middle = await redirecting(`http://files.example:${last.port}/c`);
    const first = await redirecting(`http://files.example:${middle.port}/b`);
    const guard = egress(0, { allow: ["files.example"] });

    const url = `http://files.example:${first.port}/a`;
    const failure = await failureOf(read(url, memorySink(), { egress: guard }));

    expect(failure.code).toBe("denied");
    expect(last.requests).toHaveLength(1);
    expect(sentinel.connections).toBe(0);
  });

  test("to a name that changes to loopback once it was followed gains nothing", async () => {
    const sentinel = await startSentinel();
    cleanUps.push(() => sentinel.stop());
    let asked = 0;
    const target = await source((reply) => reply.reset());
    const first = await redirecting(`http://moving.example:${target.port}/`);
    // Good when it is followed; loopback whenever it is looked up again.
    const moving: ResolveName = () =>
      Promise.resolve([{ address: asked++ === 0 ? "10.255.255.254" : "127.0.0.1", family: 4 }]);
    const guard = egress(first.port, {}, moving);

    const url = `http://files.example:${first.port}/file`;
    const failure = await failureOf(
      read(url, memorySink(), {
        egress: guard,
        // Nobody is at the first address; a busy machine's own server needs longer for its answer.
        timeoutMs: { connect: 500, firstByte: 10_000 },
        retry: { attemptsMax: 6, baseDelayMs: 1, delayMsMax: 1, retryAfterMsMax: 1 },
      }),
    );

    expect(failure.code).toBe("denied");
    expect(asked).toBeGreaterThan(1);
    expect(target.requests).toEqual([]);
  });

  test("of a user's own command does not lead from elsewhere to this machine", async () => {
    const sentinel = await startSentinel();
    cleanUps.push(() => sentinel.stop());
    // Only names differ: what files.example resolves to is no near address to the guard.
    const near: ResolveName = (hostname) =>
      Promise.resolve([
        { address: hostname === "far.example" ? "93.184.216.34" : "127.0.0.1", family: 4 },
      ]);
    const guard = egressFixture({ reach: "own" }, { resolve: near });
    const never = new AbortController().signal;
    const far = await guard.check(new URL("http://far.example/"), { from: null }, never);

    const to = new URL(`http://near.example:${sentinel.port}/`);
    const failure = await guard.check(to, { from: far }, never).catch((error: DfError) => error);

    expect((failure as DfError).code).toBe("denied");
    expect(await guard.check(to, { from: null }, never)).toMatchObject({ kind: "loopback" });
  });
});

describe("T-14: credentials stay with the origin that they are for", () => {
  const headers = {
    Authorization: "Bearer s3cret",
    Cookie: "session=s3cret",
    "Proxy-Authorization": "Basic s3cret",
    "X-Api-Key": "s3cret",
    "X-Anything": "s3cret",
    "User-Agent": "me/1",
  };

  test.each([301, 302, 303, 307, 308])("after a %d to another origin", async (status) => {
    const sink = await source((reply) => reply.serve(content));
    const first = await redirecting(sink.url, status);

    await read(first.url, memorySink(), { headers });

    expect(JSON.stringify(sink.requests)).not.toContain("s3cret");
    expect(first.requests[0]!.headers["authorization"]).toBe("Bearer s3cret");
    // All of the read's requests, not only the one that followed the redirect.
    expect(sink.requests.every((request) => request.headers["user-agent"] === "me/1")).toBe(true);
  });

  test("also where only the port, the name or the scheme's way of writing it differs", async () => {
    const sink = await source((reply) => reply.serve(content));
    for (const host of ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]"]) {
      const first = await redirecting(`http://${host}:${sink.port}/file`);
      await read(first.url, memorySink(), { headers, egress: egressFixture({ reach: "own" }) });
    }

    expect(sink.requests.length).toBeGreaterThan(0);
    expect(JSON.stringify(sink.requests)).not.toContain("s3cret");
  });

  test("and user info of the URL does, too", async () => {
    const sink = await source((reply) => reply.serve(content));
    const first = await redirecting(sink.url);

    await read(first.url.replace("//", "//me:s3cret@"), memorySink());

    expect(first.requests[0]!.headers["authorization"]).toBe(`Basic ${btoa("me:s3cret")}`);
    expect(sink.requests[0]!.headers).not.toContainKey("authorization");
  });

  test("a redirect that comes back to the first origin finds them again", async () => {
    const back: { url: string } = { url: "" };
    const away = await source((reply) =>
      reply.head(302, { location: `${back.url}?2`, "content-length": 0 }),
    );
    const first = await source((reply) =>
      reply.request.path.endsWith("?2")
        ? reply.serve(content)
        : reply.head(302, { location: away.url, "content-length": 0 }),
    );
    back.url = first.url;

    await read(first.url, memorySink(), { headers });

    expect(first.requests[1]!.headers["authorization"]).toBe("Bearer s3cret");
    expect(JSON.stringify(away.requests)).not.toContain("s3cret");
  });

  test("a foreign host that asks for them by WWW-Authenticate gets nothing", async () => {
    const realm = await source((reply) => reply.serve(content));
    const sink = await source((reply) =>
      reply.head(401, {
        "www-authenticate": `Bearer realm="${realm.url}",service="x"`,
        "content-length": 0,
      }),
    );
    const first = await redirecting(sink.url);

    const failure = await failureOf(read(first.url, memorySink(), { headers }));

    expect(failure.code).toBe("source-unauthorized");
    expect(JSON.stringify(sink.requests)).not.toContain("s3cret");
    expect(realm.requests).toEqual([]);
  });
});
