// Sources that are read through a proxy: plain ones and such with TLS, with a password, by patterns; and
// what the guard still refuses.

import { afterEach, expect, test } from "bun:test";
import { createServer } from "node:https";
import type { DfError } from "../../../src/errors.ts";
import type { EgressPolicy } from "../../../src/net/egress/egress-policy.ts";
import { describePolicy } from "../../../src/net/egress/egress-policy.ts";
import { parseProxy, proxyFor } from "../../../src/net/egress/proxy-rules.ts";
import type { ResolveName } from "../../../src/net/egress/resolve-name.ts";
import { type BadSource, startBadSource } from "../../fixtures/bad-source.ts";
import { egressFixture } from "../../fixtures/egress-fixture.ts";
import { type ProxyFixture, proxyFixture } from "../../fixtures/proxy-fixture.ts";
import { memorySink, read, sampleBytes } from "../source/memory-sink.ts";
import { cert, key } from "../source/test-certificate.ts";

const content = sampleBytes(3_000_000);
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUps.splice(0).toReversed()) await step();
});

/** A network that knows no names: whatever arrives came through the proxy. */
const nobody: ResolveName = () => Promise.reject(new Error("asked for a name"));

function egressThrough(proxies: Record<string, string>, policy: Partial<EgressPolicy> = {}) {
  return egressFixture({ reach: "network", proxies, ...policy }, { resolve: nobody });
}

async function proxy(password: string | null = null): Promise<ProxyFixture> {
  const started = await proxyFixture(password);
  cleanUps.push(() => started.stop());
  return started;
}

async function source(): Promise<BadSource> {
  const started = await startBadSource((reply) => reply.serve(content));
  cleanUps.push(() => started.stop());
  return started;
}

/** Gives ranges of the content over TLS, as "localhost". */
async function tlsSource(): Promise<number> {
  const server = createServer({ cert, key }, (request, response) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    const part = content.subarray(Number(first), Number(last) + 1);
    const end = Number(first) + part.length - 1;
    const range = { "content-range": `bytes ${first}-${end}/${content.length}`, etag: '"v1"' };
    response.writeHead(206, { ...range, "content-length": part.length }).end(part);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUps.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

const failureOf = (reading: Promise<unknown>): Promise<DfError> =>
  reading.then(
    () => Promise.reject(new Error("expected a failure")),
    (error: DfError) => error,
  );

test("an http source is asked by its whole URL, with the proxy's password for the proxy alone", async () => {
  const through = await proxy("me:s3cret");
  const { port, requests } = await source();
  const url = `http://files.internal:${port}/file?a=b`;
  const sink = memorySink();

  await read(url, sink, { egress: egressThrough({ "*.internal": through.url }) });

  expect(sink.bytes()).toEqual(content);
  expect(new Set(through.requests)).toEqual(new Set([`GET ${url}`]));
  expect(requests[0]!.headers["host"]).toBe(`files.internal:${port}`);
  expect(requests[0]!.headers).not.toContainAnyKeys(["proxy-authorization", "authorization"]);
});

test("an https source is reached by a tunnel, in which its own certificate is checked", async () => {
  const through = await proxy("me:s3cret");
  const port = await tlsSource();
  const sink = memorySink();
  const egress = egressThrough({ "*": through.url });
  const trust = { ca: cert, isInsecure: false };

  // A name that is loopback only to the proxy: here it would be refused, so it is allowed by its name.
  const allowed = egressThrough({ "*": through.url }, { allow: ["localhost"] });
  await read(`https://localhost:${port}/file`, sink, { egress: allowed, trust });
  const wrongHost = await failureOf(
    read(`https://files.internal:${port}/file`, memorySink(), { egress, trust }),
  );
  const unknownCa = await failureOf(
    read(`https://localhost:${port}/file`, memorySink(), { egress: allowed }),
  );

  expect(sink.bytes()).toEqual(content);
  expect(through.requests[0]).toBe(`CONNECT localhost:${port}`);
  // One tunnel for each of the read's connections, not for each of its requests.
  expect(through.requests.filter((line) => line.includes("localhost")).length).toBeLessThanOrEqual(
    6,
  );
  expect([wrongHost.code, unknownCa.code]).toEqual(["tls", "tls"]);
});

test("a password that the proxy does not take is told, and not shown", async () => {
  const through = await proxy("me:s3cret");
  const { port } = await source();
  const rules = { "*": `http://me:wr0ng@127.0.0.1:${through.port}` };

  for (const scheme of ["http", "https"]) {
    const url = `${scheme}://files.internal:${port}/file`;
    const failure = await failureOf(read(url, memorySink(), { egress: egressThrough(rules) }));

    expect(failure.code).toBe("unauthorized");
    expect(`${failure.message} ${failure.hint}`).not.toContain("wr0ng");
  }
});

test("T-12: what leads into the reader's own machine is not asked of a proxy either", async () => {
  const through = await proxy();
  const egress = egressThrough({ "*": through.url });
  const hosts = ["127.0.0.1", "[::ffff:7f00:1]", "169.254.169.254", "localhost", "a.localhost."];

  for (const host of [...hosts, "metadata.google.internal", "0x7f.1"]) {
    const failure = await failureOf(read(`http://${host}:8080/`, memorySink(), { egress }));
    expect([host, failure.code]).toEqual([host, "not-shareable"]);
  }
  expect(through.requests).toEqual([]);
});

test("a proxy that is not there is a fault of the network", async () => {
  const gone = await proxyFixture();
  await gone.stop();
  const failure = await failureOf(
    read("https://files.internal/file", memorySink(), {
      egress: egressThrough({ "*": gone.url }),
      retry: { attemptsMax: 1, baseDelayMs: 1, delayMsMax: 1, retryAfterMsMax: 1 },
    }),
  );

  expect(failure.code).toBe("network");
});

test("of two patterns the one that says more decides, an empty proxy means none", () => {
  const rules = { "*": "http://a:1", "*.corp.example": "", "git.corp.example": "http://b:2" };
  const hostOf = (url: string) => proxyFor(new URL(url), rules)?.hostname ?? null;

  expect(hostOf("http://example.org/")).toBe("a");
  expect(hostOf("https://files.corp.example/")).toBeNull();
  expect(hostOf("https://git.corp.example/")).toBe("b");
  expect(parseProxy("socks5://a:1")).toBeNull();
});

test("the policy is told without a proxy's password", () => {
  const { policy } = egressThrough({ "*.example": "http://me:s3cret@proxy:3128" });

  expect(describePolicy(policy)).toContain("*.example");
  expect(describePolicy(policy)).not.toContain("s3cret");
});

test.each([
  ["own", "http://localhost/x"],
  ["own", "http://db.localhost./x"],
  ["own", "http://127.0.0.1/x"],
  ["own", "http://[::1]/x"],
  ["own", "http://169.254.169.254/latest/meta-data/"],
  ["own", "http://metadata.google.internal/computeMetadata/v1/"],
  ["host", "http://localhost/x"],
  ["host", "http://127.0.0.1/x"],
] as const)(
  "T-12: a redirect to the proxy's own machine or link is refused for %s: %s",
  async (reach, to) => {
    const guard = egressThrough({ "http://*": "http://127.0.0.1:9" }, { reach });
    const never = new AbortController().signal;
    const from = await guard.check(new URL("http://files.example/file"), { from: null }, never);

    const following = guard.check(new URL(to), { from }, never);

    expect((await failureOf(following)).code).toBe("denied");
    // Named by the user, it is his own affair.
    expect((await guard.check(new URL("http://localhost/x"), { from: null }, never)).kind).toBe(
      "loopback",
    );
  },
);
