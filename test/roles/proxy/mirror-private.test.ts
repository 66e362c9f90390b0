// Private repositories behind the mirrors of a whole fleet: an engine's own credentials open what it may
// have, through the swarm; nothing of them is kept, and nobody else gets anything by them.

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Session } from "../../../bench/harness/session.ts";
import { DEFAULT_REGISTRY_RULES } from "../../../src/net/registry/upstream-choice.ts";
import {
  fleetFixture,
  type PeerOfFleet,
  type SupernodeOfFleet,
} from "../../fixtures/fleet-fixture.ts";
import { addManifest, askRaw, errorOf, manifestBytes } from "../../fixtures/mirror-fixture.ts";
import { scriptedRegistry, type ScriptedRegistry } from "../../fixtures/scripted-registry.ts";
import { randomBytes } from "../peer-fixture.ts";

const TOKENS = ["token-of-anna-1f7a", "token-of-bert-93cc"] as const;
const CHALLENGE = 'Bearer realm="http://127.0.0.1:1/token",service="private"';

let ended: () => void;
let running: Promise<void>;
let registry: ScriptedRegistry;
let supernode: SupernodeOfFleet;
let peers: PeerOfFleet[];
let mirrors: string[];

beforeAll(async () => {
  const ready = Promise.withResolvers<void>();
  running = Session.run("mirror-private", async (session) => {
    registry = await scriptedRegistry();
    session.defer(() => registry.stop());
    const fleet = await fleetFixture(session);
    supernode = await fleet.supernode("default");
    const proxy = {
      listen: { hostname: "127.0.0.1", port: 0 },
      isDefault: false,
      registries: { ...DEFAULT_REGISTRY_RULES, defaultRegistry: registry.host },
    };
    peers = [await fleet.peer({ proxy }), await fleet.peer({ proxy })];
    mirrors = peers.map(({ running }) => `http://${running.status().proxy!.listen}`);
    const end = Promise.withResolvers<void>();
    ended = end.resolve;
    ready.resolve();
    await end.promise;
  });
  running.catch(ready.reject);
  await ready.promise;
});

afterAll(async () => {
  ended();
  await running;
});

beforeEach(() => {
  registry.requests.length = 0;
  registry.bodyBytes = 0;
  registry.challenge = CHALLENGE;
  registry.tokens.clear();
  for (const token of TOKENS) registry.tokens.add(token);
  registry.refuses = () => undefined;
  registry.redirectsTo = null;
});

const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

test("two hosts with their own tokens share what the registry sends once", async () => {
  const blob = randomBytes(800_000);
  const digest = registry.add(blob);

  const answers = await Promise.all(
    mirrors.map((url, i) => askRaw(`${url}/v2/shared/app/blobs/${digest}`, as(TOKENS[i]!))),
  );

  for (const { status, body } of answers) {
    expect(status).toBe(200);
    expect(body.equals(blob)).toBe(true);
  }
  expect(registry.bodyBytes).toBe(blob.length);
});

test("an engine that shows nothing gets the registry's own challenge, and with a token the content", async () => {
  const bytes = manifestBytes({ annotations: { of: "challenge" } });
  const digest = addManifest(registry, bytes);
  registry.tags.set("challenged/app:1", digest);
  const url = `${mirrors[0]}/v2/challenged/app/manifests`;

  for (const reference of ["1", digest]) {
    const refused = await askRaw(`${url}/${reference}`);
    const got = await askRaw(`${url}/${reference}`, as(TOKENS[0]));
    const head = await askRaw(`${url}/${reference}`, { method: "HEAD", ...as(TOKENS[0]) });

    expect(refused.status).toBe(401);
    expect(refused.headers["www-authenticate"]).toBe(CHALLENGE);
    expect([got.status, head.status]).toEqual([200, 200]);
    expect(got.body.equals(bytes)).toBe(true);
    expect(head.headers["docker-content-digest"]).toBe(digest);
  }
});

test("a token that the registry takes no more leads to its challenge, not to what others may have", async () => {
  const digest = registry.add(randomBytes(50_000));
  const path = `/v2/expired/app/blobs/${digest}`;
  await askRaw(`${mirrors[0]}${path}`, as(TOKENS[0]));
  // What was proven of Anna counts for a minute; nothing was of Bert.
  registry.tokens.delete(TOKENS[1]);

  const expired = await askRaw(`${mirrors[0]}${path}`, as(TOKENS[1]));
  const invented = await askRaw(`${mirrors[1]}${path}`, as("invented"));
  const none = await askRaw(`${mirrors[1]}${path}`);

  for (const { status, headers, body } of [expired, invented, none]) {
    expect(status).toBe(401);
    expect(headers["www-authenticate"]).toBe(CHALLENGE);
    expect(body.length).toBe(0);
  }
});

test("a right that is refused is told as the registry tells it", async () => {
  const digest = registry.add(randomBytes(50_000));
  registry.refuses = ({ headers }) =>
    headers.authorization === `Bearer ${TOKENS[1]}` ? 403 : undefined;

  const answer = await askRaw(`${mirrors[0]}/v2/denied/app/blobs/${digest}`, as(TOKENS[1]));

  expect([answer.status, errorOf(answer).code]).toEqual([403, "DENIED"]);
});

test("a registry that denies what it does not show gives it to who may see it", async () => {
  registry.challenge = null;
  registry.refuses = ({ headers }) => (headers.authorization === undefined ? 404 : undefined);
  const blob = randomBytes(50_000);
  const digest = registry.add(blob);
  const url = `${mirrors[0]}/v2/hidden/app/blobs/${digest}`;

  const without = await askRaw(url);
  const got = await askRaw(url, as(TOKENS[0]));

  expect([without.status, errorOf(without).code]).toEqual([404, "BLOB_UNKNOWN"]);
  expect(got.body.equals(blob)).toBe(true);
});

test("a public image is asked for as everybody does, whatever the engine shows", async () => {
  registry.challenge = null;
  const blob = randomBytes(200_000);
  const digest = registry.add(blob);

  const answers = await Promise.all(
    mirrors.map((url, i) => askRaw(`${url}/v2/public/app/blobs/${digest}`, as(TOKENS[i]!))),
  );

  expect(answers.every(({ body }) => body.equals(blob))).toBe(true);
  expect(registry.bodyBytes).toBe(blob.length);
  expect(registry.requests.every(({ authorization }) => authorization === undefined)).toBe(true);
});

test("a repository that was private a moment ago is not asked as everybody first", async () => {
  const [first, second] = [registry.add(randomBytes(9_000)), registry.add(randomBytes(9_001))];
  await askRaw(`${mirrors[0]}/v2/known/app/blobs/${first}`, as(TOKENS[0]));
  const before = registry.requests.length;

  await askRaw(`${mirrors[0]}/v2/known/app/blobs/${second}`, as(TOKENS[0]));

  const later = registry.requests.slice(before);
  expect(later.length).toBeGreaterThan(0);
  expect(later.every(({ authorization }) => authorization === `Bearer ${TOKENS[0]}`)).toBe(true);
});

test("credentials stay with the registry when a blob is kept elsewhere, through the swarm and past it", async () => {
  const store = await scriptedRegistry();
  try {
    const blob = randomBytes(70_000);
    const digest = registry.add(blob);
    const other = `sha512:${"cd".repeat(64)}`;
    for (const name of [digest, other]) {
      registry.contents.set(name, blob);
      store.contents.set(name, blob);
    }
    registry.redirectsTo = store.url;

    for (const name of [digest, other]) {
      const answer = await askRaw(`${mirrors[0]}/v2/elsewhere/app/blobs/${name}`, as(TOKENS[0]));
      expect(answer.status).toBe(200);
      expect(answer.body.equals(blob)).toBe(true);
    }
    expect(store.requests.length).toBeGreaterThanOrEqual(2);
    expect(store.requests.every(({ authorization }) => authorization === undefined)).toBe(true);
  } finally {
    await store.stop();
  }
});

test("no credential rests anywhere, nor is it told in a warning", async () => {
  const digest = registry.add(randomBytes(60_000));
  await askRaw(`${mirrors[0]}/v2/secret/app/blobs/${digest}`, as(TOKENS[0]));
  registry.tokens.clear();
  await askRaw(`${mirrors[0]}/v2/secret/app/blobs/${digest}`, as(TOKENS[0]));

  const texts = [...peers, supernode].flatMap(({ warnings, dataDir }) => [
    warnings.join("\n"),
    ...filesIn(dataDir).map((path) => readFileSync(path, "latin1")),
  ]);
  const status = JSON.stringify(peers.map(({ running }) => running.status()));

  for (const token of TOKENS) {
    expect(texts.some((text) => text.includes(token))).toBe(false);
    expect(status).not.toContain(token);
  }
});

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}
