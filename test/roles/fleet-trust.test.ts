// Who is believed in a fleet, and who is not: stolen strings and credentials without their key, requests
// that ask for more than a machine may have, servers that stand in for real ones.

import { expect, test } from "bun:test";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "../../src/engine/bytes/secret.ts";
import { CountingSource, randomPayload } from "../../bench/harness/counting-source.ts";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import { askFleetCa } from "../../src/net/fleet/fleet-ca.ts";
import {
  CONFIG_TLS_NAME,
  type JoinFleetAnswer,
  type JoinFleetRequest,
  SUPERNODE_TLS_NAME,
  tlsNameOf,
} from "../../src/net/wire/fleet-api.ts";
import { proveKey, type ProofPurpose } from "../../src/net/wire/key-proof.ts";
import {
  type ConfigFixture,
  configFixture,
  identityFixture,
  machineFixture,
} from "../fixtures/config-fixture.ts";
import { fleetFixture, type PeerOfFleet } from "../fixtures/fleet-fixture.ts";
import { eventOf, eventsOf } from "./peer-fixture.ts";

const NEVER = new AbortController().signal;
const DAY_MS = 86_400_000;

/** SPKI, DER, base64. */
function tlsKeyOf(curve: "P-256" | "P-384" = "P-256"): string {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: curve });
  return publicKey.export({ type: "spki", format: "der" }).toString("base64");
}

async function tokenOf(fixture: ConfigFixture, role?: "peer"): Promise<string> {
  const { json } = await fixture.call("POST tokens", { body: { kind: "join", role } });
  return json.secret as string;
}

const isConnected = ({ running }: PeerOfFleet): boolean =>
  running.status().supernodes.some(({ connected }) => connected);

test("supernodes are given the fleet's secrets, hosts the public key that goes with them", () =>
  Session.run("trust", async (session) => {
    const fixture = await configFixture(session);
    const token = await tokenOf(fixture);
    const joinAs = async (change: Partial<JoinFleetRequest>): Promise<JoinFleetAnswer> =>
      (await fixture.call("POST join", { body: machineFixture(change), token })).json;

    const supernode = await joinAs({ role: "supernode", tlsPublicKey: tlsKeyOf() });
    const other = await joinAs({ role: "supernode" });
    const host = await joinAs({ role: "peer", tlsPublicKey: tlsKeyOf() });

    expect(Buffer.from(supernode.secrets!.contentSecret, "base64")).toHaveLength(32);
    expect(other.secrets).toEqual({ ...supernode.secrets!, certificate: undefined as never });
    expect(host.secrets).toBeUndefined();
    expect(host.clusterKey).toBe(supernode.clusterKey);
  }));

test("T-19: a certificate is for the host that joins, whatever else its request asks for", () =>
  Session.run("trust", async (session) => {
    const fixture = await configFixture(session);
    const token = await tokenOf(fixture);
    const machine = machineFixture({ role: "supernode", tlsPublicKey: tlsKeyOf() });
    const wishes = {
      ...{ names: [CONFIG_TLS_NAME], dns: ["example.org"], ip: ["10.0.0.1"], ca: true },
      ...{ days: 9_999, notAfter: "2099-01-01", subject: `CN=${CONFIG_TLS_NAME}` },
      csr: "-----BEGIN CERTIFICATE REQUEST-----",
    };

    const { json } = await fixture.call("POST join", { body: { ...machine, ...wishes }, token });
    const certificate = new X509Certificate(json.secrets.certificate);
    const { ca } = (await fixture.call("GET ca", { token: null })).json;

    const names = [tlsNameOf(machine.hostId), SUPERNODE_TLS_NAME];
    expect(certificate.subjectAltName).toBe(names.map((name) => `DNS:${name}`).join(", "));
    expect(certificate.subject).toBe(`CN=${names[0]}`);
    expect(certificate.ca).toBe(false);
    // What the runtime calls keyUsage is the extended one (RFC 5280 §4.2.1.12): serverAuth.
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
    const lifeMs = Date.parse(certificate.validTo) - Date.parse(certificate.validFrom);
    expect(lifeMs).toBeLessThanOrEqual(398 * DAY_MS);
    expect(certificate.verify(new X509Certificate(ca).publicKey)).toBe(true);
  }));

test.each([
  ["another host's ID", () => ({ hostId: identityFixture().hostId })],
  ["a key of another curve", () => ({ tlsPublicKey: tlsKeyOf("P-384") })],
  ["the CA's request form instead of a key", () => ({ tlsPublicKey: "MIIBVjCB/gIBADAw" })],
  ["an Ed25519 key", () => ({ tlsPublicKey: identityFixture().publicKey })],
])("T-19: a join with %s is refused, and uses no token up", (_, wish) =>
  Session.run("trust", async (session) => {
    const fixture = await configFixture(session);
    const { json } = await fixture.call("POST tokens", { body: { kind: "join", usesMax: 1 } });
    const token = json.secret as string;
    const machine = machineFixture({ role: "supernode", ...wish() });

    const { status } = await fixture.call("POST join", { body: machine, token });

    expect(status).toBe(400);
    const next = machineFixture({ role: "supernode", tlsPublicKey: tlsKeyOf() });
    expect((await fixture.call("POST join", { body: next, token })).status).toBe(200);
  }),
);

test("T-19: who may join as a host alone gets no certificate and no secret", () =>
  Session.run("trust", async (session) => {
    const fixture = await configFixture(session);
    const token = await tokenOf(fixture, "peer");
    const wish = { tlsPublicKey: tlsKeyOf() };

    const asHost = await fixture.call("POST join", { body: machineFixture(wish), token });
    const body = machineFixture({ role: "supernode", ...wish });
    const asSupernode = await fixture.call("POST join", { body, token });

    expect([asHost.status, asSupernode.status]).toEqual([200, 403]);
    expect(JSON.stringify(asHost.json)).not.toContain("CERTIFICATE");
    expect(asHost.json.secrets).toBeUndefined();
  }));

test("a join string without the machine's key makes no member", () =>
  Session.run("trust", async (session) => {
    const fixture = await configFixture(session);
    const token = await tokenOf(fixture);
    const identity = identityFixture();
    const proof = proveKey("join", identity);
    const statusOf = async (proof: JoinFleetRequest["proof"]): Promise<number> =>
      (await fixture.call("POST join", { body: machineFixture({ proof }, identity), token }))
        .status;

    expect(await statusOf(undefined)).toBe(403);
    expect(await statusOf(proveKey("hello", identity))).toBe(403);
    expect(await statusOf(proveKey("join", identityFixture()))).toBe(403);
    expect(await statusOf({ ...proof, at: proof.at - 600_000 })).toBe(403);
    expect(await statusOf({ ...proof, at: proof.at + 1 })).toBe(403);
    expect(await statusOf(proof)).toBe(200);
  }));

test("a stolen credential opens no channel without its host's key", () =>
  Session.run("trust", async (session) => {
    const fleet = await fleetFixture(session);
    const { running } = await fleet.supernode("a");
    const token = await tokenOf(fleet);
    const identity = identityFixture();
    const body = machineFixture({}, identity);
    const { credential } = (await fleet.call("POST join", { body, token })).json;
    const thief = identityFixture();
    const { hostId, publicKey } = identity;
    const proofOf = (purpose: ProofPurpose, of = identity) => ({ proof: proveKey(purpose, of) });
    const own = { hostId, publicKey, credential };

    const heard = async (hello: object): Promise<string> => {
      const socket = new WebSocket(`ws://${running.address}/v1/swarm`);
      const end = Promise.withResolvers<string>();
      socket.addEventListener("close", ({ reason }) => end.resolve(reason));
      socket.addEventListener("message", () => end.resolve("admitted"));
      socket.addEventListener("open", () => {
        const fields = { version: "1", capabilities: [], hostname: "h", pieceAddress: null };
        const protocol = { min: 1, max: 1 };
        const message = { type: "hello", protocol, ...fields, uploadSlots: 0, ...hello };
        socket.send(JSON.stringify(message));
      });
      return end.promise.finally(() => socket.close());
    };

    expect(await heard(own)).toContain("does not prove its key");
    expect(await heard({ ...own, ...proofOf("join") })).toContain("does not prove its key");
    expect(await heard({ ...own, ...proofOf("hello", thief) })).toContain("does not prove its key");
    const asThief = { ...own, publicKey: thief.publicKey };
    expect(await heard({ ...asThief, ...proofOf("hello", { ...thief, hostId }) })).toContain(
      "does not prove its key",
    );
    expect(await heard({ hostId: thief.hostId, publicKey, credential })).toContain("another host");
    expect(await heard({ ...own, ...proofOf("hello") })).toBe("admitted");
  }));

/** A server that speaks plain HTTP and keeps what it was asked; 404 to all. */
function strippingListener(session: Session, port: number) {
  const heard: string[] = [];
  const server = Bun.serve({
    ...{ hostname: "127.0.0.1", port, development: false },
    fetch(request) {
      heard.push(`${request.method} ${new URL(request.url).pathname}`);
      return new Response(null, { status: 404 });
    },
  });
  session.defer(() => server.stop(true));
  return heard;
}

const portOf = (address: string): number => Number(address.split(":").at(-1));

test("T-21: who was known to speak TLS is never asked in plain text", () =>
  Session.run("trust", async (session) => {
    await using source = await CountingSource.start({ bytes: randomPayload(100_000) });
    const fleet = await fleetFixture(session, { tls: "on" });
    const supernode = await fleet.supernode("a", { tls: "on" });
    const peer = await fleet.peer();
    await waitUntil("it is connected", () => isConnected(peer));
    await Promise.all([peer.stop(), supernode.stop(), fleet.config.stop()]);

    const heard = [
      strippingListener(session, portOf(fleet.config.address)),
      strippingListener(session, portOf(supernode.running.address)),
    ];
    const { urls, fleetKey } = fleet.config;
    const again = await fleet.peer({ dataDir: peer.dataDir, fleet: { urls, fleetKey } });
    const read = again.client.download({ url: source.url }, AbortSignal.timeout(60_000));
    expect(eventOf(await eventsOf(read), "done").length).toBe(100_000);
    const newcomer = fleet.peer({ fleet: { urls, fleetKey, token: new Secret("dfj_0_0") } });

    await expect(newcomer).rejects.toThrow("does not speak TLS");
    expect(again.warnings.join("\n")).toContain("does not speak TLS");
    expect(isConnected(again)).toBe(false);
    // What was heard was no request: the first bytes of a TLS hello.
    expect(heard).toEqual([[], []]);
  }));

test("T-24: who answers in the place of df config without its keys is not believed, the last list stays", () =>
  Session.run("trust", async (session) => {
    await using source = await CountingSource.start({ bytes: randomPayload(100_000) });
    const fleet = await fleetFixture(session, { tls: "on" });
    const supernode = await fleet.supernode("a", { tls: "on" });
    const peer = await fleet.peer();
    await waitUntil("it is connected", () => isConnected(peer));
    const list = readFileSync(join(peer.dataDir, "supernodes.json"), "utf8");
    await fleet.config.stop();

    const port = portOf(fleet.config.address);
    const listen = { hostname: "127.0.0.1", port };
    const fake = await configFixture(session, { tls: "on", isOpen: true, listen });
    await waitUntil("the supernode met it", () => supernode.warnings.length > 0);
    await peer.stop();
    const { urls, fleetKey } = fleet.config;
    const again = await fleet.peer({ dataDir: peer.dataDir, fleet: { urls, fleetKey } });
    await waitUntil("the host met it", () => again.warnings.length > 0);

    expect(again.warnings[0]).toContain("its certificate is not believed");
    await waitUntil("it is connected", () => isConnected(again));
    const read = again.client.download({ url: source.url, noOrigin: true }, NEVER);
    expect(eventOf(await eventsOf(read), "done").length).toBe(100_000);
    expect(JSON.parse(readFileSync(join(peer.dataDir, "supernodes.json"), "utf8"))).toMatchObject({
      supernodes: (JSON.parse(list) as { supernodes: unknown[] }).supernodes,
    });
    const [hosts, supernodes] = [await fake.call("GET hosts"), await fake.call("GET supernodes")];
    expect([hosts.json.total, supernodes.json.supernodes]).toEqual([0, []]);
  }));

test.each([
  ["signed by another key", (ca: object, other: object) => ({ ...ca, ...other })],
  ["not signed", (ca: object) => ({ ...ca, signature: `${"A".repeat(86)}==` })],
])("T-24: a CA that is %s is refused", (_, forge) =>
  Session.run("trust", async (session) => {
    const [fleet, rogue] = [await configFixture(session), await configFixture(session)];
    const caOf = async ({ url }: ConfigFixture) => (await fetch(`${url}/api/v1/ca`)).json();
    const forged = forge((await caOf(fleet)) as object, (await caOf(rogue)) as object);
    const server = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0, development: false },
      fetch: () => Response.json(forged),
    });
    session.defer(() => server.stop(true));
    const { fleetKey } = fleet.config;

    const asked = askFleetCa({ urls: [`http://127.0.0.1:${server.port}`], fleetKey }, NEVER);

    await expect(asked).rejects.toThrow("does not have the fleet's key");
    const real = await askFleetCa({ urls: [fleet.url], fleetKey }, NEVER);
    expect(real.answer?.ca).toContain("BEGIN CERTIFICATE");
  }),
);

test("T-39: what df config said before is not believed when it is played back", () =>
  Session.run("trust", async (session) => {
    const fleet = await fleetFixture(session);
    const played = { answers: new Map<string, string>(), isRecording: true, isReplaying: false };
    const proxy = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0, development: false },
      async fetch(request) {
        const { pathname } = new URL(request.url);
        const old = played.isReplaying ? played.answers.get(pathname) : undefined;
        const json = { "content-type": "application/json" };
        if (old !== undefined) return new Response(old, { headers: json });
        const { method, headers } = request;
        const body = method === "GET" ? {} : { body: await request.text() };
        const answer = await fetch(`${fleet.url}${pathname}`, { method, headers, ...body });
        const text = await answer.text();
        if (played.isRecording && answer.ok) played.answers.set(pathname, text);
        return new Response(text, { status: answer.status, headers: json });
      },
    });
    session.defer(() => proxy.stop(true));
    const urls = [`http://127.0.0.1:${proxy.port}`];
    const supernode = await fleet.supernode("a", {
      fleet: { ...(await fleet.address("a")), urls },
    });
    const peer = await fleet.peer({ fleet: { ...(await fleet.address()), urls } });
    played.isRecording = false;
    const newer = await fleet.supernode("a");
    await fleet.call("PATCH settings/fleet", { body: { set: { uploadSlots: 7 } } });
    await waitUntil("the newer one is known", () =>
      peer.supernodes().includes(newer.running.address),
    );
    const keptBySupernode = () =>
      JSON.parse(readFileSync(join(supernode.dataDir, "fleet.json"), "utf8"));
    await waitUntil("the supernode was told", () => {
      const { settings, members } = keptBySupernode();
      return settings?.fleet.uploadSlots === 7 && members.length === 2;
    });

    played.isReplaying = true;
    await peer.stop();
    const again = await fleet.peer({
      ...{ dataDir: peer.dataDir, fleet: { urls, fleetKey: fleet.config.fleetKey } },
    });
    await waitUntil("both met it", () =>
      [supernode, again].every(({ warnings }) => warnings.join().includes("older than the known")),
    );

    expect(again.supernodes()).toContain(newer.running.address);
    const told = keptBySupernode();
    expect(told.settings.fleet).toMatchObject({ uploadSlots: 7 });
    expect(told.members).toHaveLength(2);
  }));
