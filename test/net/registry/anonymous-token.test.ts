// Tokens that a registry gives to everybody, over HTTP: got once, shown to the registry alone, and never
// asked for where a registry must not lead its readers.

import { afterEach, expect, test } from "bun:test";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { isDfError } from "../../../src/errors.ts";
import type { EgressGuard } from "../../../src/net/egress/egress-guard.ts";
import { DEFAULT_EGRESS } from "../../../src/net/egress/egress-policy.ts";
import { SourceClient } from "../../../src/net/source/source-client.ts";
import type { SourceAnswer } from "../../../src/net/source/exchange.ts";
import { egressFixture } from "../../fixtures/egress-fixture.ts";
import { scriptedRegistry, type ScriptedRegistry } from "../../fixtures/scripted-registry.ts";

interface TokenRealm {
  readonly url: string;
  readonly requests: { url: URL; authorization: string | undefined; method: string }[];
  answer: (request: IncomingMessage) => { status: number; body: unknown; location?: string };
}

const cleanups: (() => Promise<void>)[] = [];
const never = new AbortController().signal;

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function tokenRealm(): Promise<TokenRealm> {
  const server = createServer((request, response) => {
    const { url, method, headers } = request;
    realm.requests.push({
      ...{ url: new URL(url!, realm.url), authorization: headers.authorization, method: method! },
    });
    const { status, body, location } = realm.answer(request);
    response.writeHead(status, location === undefined ? {} : { location });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const realm: TokenRealm = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    requests: [],
    answer: () => ({ status: 200, body: { token: "everybodys", expires_in: 300 } }),
  };
  cleanups.push(
    () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  );
  return realm;
}

async function registryFixture(): Promise<ScriptedRegistry> {
  const registry = await scriptedRegistry();
  cleanups.push(() => registry.stop());
  return registry;
}

/** A registry that wants tokens of a realm, with a layer in it. */
async function guarded() {
  const [registry, realm] = [await registryFixture(), await tokenRealm()];
  registry.challenge = `Bearer realm="${realm.url}",service="tests",scope="repository:team/app:pull"`;
  registry.tokens.add("everybodys");
  const url = registry.blobUrl("team/app", registry.add(Buffer.from("layer")));
  return { registry, realm, url };
}

function clientFor(url: string, options: Partial<SourceClientFixture> = {}): SourceClient {
  const { headers = {}, isRegistry = true, egress = egressFixture() } = options;
  const timeoutMs = { connect: 2_000, firstByte: 2_000 };
  const client = new SourceClient({ url, headers, timeoutMs, egress, isRegistry });
  cleanups.push(async () => client.close());
  return client;
}

interface SourceClientFixture {
  headers: Record<string, string>;
  isRegistry: boolean;
  egress: EgressGuard;
}

async function textOf(answer: SourceAnswer): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body()) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "no error",
    (error: unknown) => {
      const cause = error instanceof Error && "error" in error ? error.error : error;
      return isDfError(cause) ? cause.code : String(cause);
    },
  );
}

test("who shows nothing gets a token of everybody, asked for as the registry says", async () => {
  const { realm, url } = await guarded();

  const answer = await clientFor(url).ask({}, never);

  expect(answer.status).toBe(200);
  expect(await textOf(answer)).toBe("layer");
  const [request] = realm.requests;
  expect(request!.method).toBe("GET");
  expect(request!.authorization).toBeUndefined();
  expect(Object.fromEntries(request!.url.searchParams)).toEqual({
    ...{ service: "tests", scope: "repository:team/app:pull" },
  });
});

test("a token is got once for all who need it at a time, and known to who comes later", async () => {
  const { registry, realm, url } = await guarded();
  const egress = egressFixture();

  const answers = await Promise.all(
    Array.from({ length: 8 }, () => clientFor(url, { egress }).ask({}, never, "HEAD")),
  );
  const refusedBefore = registry.asked("HEAD").filter(({ status }) => status === 401).length;
  const later = await clientFor(url, { egress }).ask({}, never, "HEAD");

  expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
  expect(later.status).toBe(200);
  expect(realm.requests.length).toBe(1);
  expect(registry.asked("HEAD").filter(({ status }) => status === 401).length).toBe(refusedBefore);
});

test("a token that the registry takes no more is replaced in the midst of a read, once", async () => {
  const { registry, realm, url } = await guarded();
  const client = clientFor(url);
  (await client.ask({}, never)).close();
  registry.tokens.clear();
  registry.tokens.add("next");
  realm.answer = () => ({ status: 200, body: { access_token: "next" } });

  const answer = await client.ask({}, never);
  const answers = realm.requests.length;
  registry.tokens.clear();
  const refused = await client.ask({}, never);

  expect(answer.status).toBe(200);
  expect(answers).toBe(2);
  expect(refused.status).toBe(401);
});

test.each([
  ["credentials of his own", { headers: { authorization: "Basic dTpw" } }],
  ["a cookie", { headers: { Cookie: "a=b" } }],
  ["a source that is no registry", { isRegistry: false }],
])("no token is got for %s", async (_, options) => {
  const { realm, url } = await guarded();

  const answer = await clientFor(url, options).ask({}, never);

  expect(answer.status).toBe(401);
  expect(realm.requests).toEqual([]);
});

test("a token goes to the registry that asked for it, and nowhere that leads to", async () => {
  const { registry, realm, url } = await guarded();
  const store = await registryFixture();
  store.add(Buffer.from("layer"));
  registry.redirectsTo = store.url.replace("127.0.0.1", "localhost");

  const answer = await clientFor(url).ask({}, never);

  expect(await textOf(answer)).toBe("layer");
  expect(realm.requests.length).toBe(1);
  expect(store.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
});

test.each([
  ["refuses", { status: 401, body: {} }],
  ["has nothing", { status: 404, body: {} }],
  ["gives no token", { status: 200, body: { hello: 1 } }],
  ["gives no JSON", { status: 200, body: "token" }],
  ["gives a token that would end a header field", { status: 200, body: { token: "a\r\nx: y" } }],
  ["gives a token beyond all measure", { status: 200, body: { token: "a".repeat(70_000) } }],
])("a realm that %s leaves the registry's 401 as it is", async (_, given) => {
  const { realm, url } = await guarded();
  realm.answer = () => given;

  const answer = await clientFor(url).ask({}, never);

  expect(answer.status).toBe(401);
});

test("a realm that is down is the source's trouble, and may be tried again", async () => {
  const { realm, url } = await guarded();
  realm.answer = () => ({ status: 503, body: {} });

  expect(await codeOf(clientFor(url).ask({}, never))).toBe("source-busy");

  realm.answer = () => ({ status: 200, body: { token: "everybodys" } });
  expect((await clientFor(url).ask({}, never)).status).toBe(200);
});

test("T-37: a registry sends its readers nowhere that its redirects may not lead", async () => {
  const registry = await registryFixture();
  const [inside, other] = [await tokenRealm(), await tokenRealm()];
  const url = registry.blobUrl("team/app", registry.add(Buffer.from("layer")));
  // The registry is allowed by name; what else is on loopback is another machine's here.
  const policy = { ...DEFAULT_EGRESS, allow: [registry.host] };
  const bait = inside.url.replace("http://", "http://admin:secret@");
  registry.tokens.add("everybodys");

  for (const realm of [inside.url, bait, "http://169.254.169.254/latest", "http://[::1]:22/"]) {
    registry.challenge = `Bearer realm="${realm}",service="s"`;
    const answer = await clientFor(url, { egress: egressFixture(policy) }).ask({}, never);
    expect(answer.status).toBe(401);
  }
  expect(inside.requests).toEqual([]);

  // Nor where the realm itself would lead, nor with what it wrote into its URL.
  inside.answer = () => ({ status: 307, body: {}, location: other.url });
  registry.challenge = `Bearer realm="${bait}",service="s"`;
  expect((await clientFor(url).ask({}, never)).status).toBe(401);
  expect(inside.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
  expect(other.requests).toEqual([]);
});

test("T-37: what a place within this network says to everybody is told to no registry outside of it", async () => {
  const heard: string[] = [];
  let realm = "http://10.0.0.5/token";
  // Behind a proxy a name is a public one, whatever it leads to there.
  const proxy = createServer((request, response) => {
    const shown = request.headers.authorization;
    heard.push(`${new URL(request.url!).host} ${shown ?? "nothing"}`);
    const isRegistry = request.url!.startsWith("http://registry.test/");
    if (!isRegistry) return void response.end(JSON.stringify({ token: "inner" }));
    const challenge = { "www-authenticate": `Bearer realm="${realm}",service="s"` };
    response.writeHead(shown === undefined ? 401 : 200, challenge).end("layer");
  });
  await new Promise<void>((resolve) => void proxy.listen(0, "127.0.0.1", resolve));
  cleanups.push(async () => void proxy.close());
  const proxies = { "*": `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
  const ask = async (): Promise<number> => {
    const egress = egressFixture({ ...DEFAULT_EGRESS, proxies });
    const url = "http://registry.test/v2/team/app/blobs/a";
    return (await clientFor(url, { egress }).ask({}, never)).status;
  };

  expect(await ask()).toBe(401);
  expect(heard.splice(0)).toEqual(["registry.test nothing"]);

  realm = "http://auth.elsewhere.test/token";
  expect(await ask()).toBe(200);
  expect(heard).toEqual([
    ...["registry.test nothing", "auth.elsewhere.test nothing", "registry.test Bearer inner"],
  ]);
});
