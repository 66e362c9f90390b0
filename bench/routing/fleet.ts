// The fleet that `df config` is measured with: clusters, rules, living supernodes and joined hosts, all
// made through its own API.

import { generateKeyPairSync } from "node:crypto";
import { Secret } from "../../src/engine/bytes/secret.ts";
import { digestNow, toHex } from "../../src/engine/bytes/digest.ts";
import { Prng } from "../../src/engine/core/prng.ts";
import type { Heartbeat, JoinFleetAnswer, RouteRequest } from "../../src/net/wire/fleet-api.ts";
import { proveKey } from "../../src/net/wire/key-proof.ts";
import { type HttpAnswer, HttpConnection, requestOf } from "./http-connection.ts";

/** Between two heartbeats of one supernode, as `df config` asks by default. */
const HEARTBEAT_INTERVAL_MS = 2_000;

const CONNECTIONS = 16;

export interface BenchHost {
  credential: string;
  request: RouteRequest;
}

export class BenchFleet {
  readonly #port: number;
  readonly #adminToken: string;
  readonly #prng: Prng;
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  readonly #heartbeats: HttpConnection[] = [];

  constructor(port: number, adminToken: string, seed: number) {
    this.#port = port;
    this.#adminToken = adminToken;
    this.#prng = new Prng(seed);
  }

  async prepare({ clusterCount, ruleCount }: { clusterCount: number; ruleCount: number }) {
    for (let i = 0; i < clusterCount; i++) {
      const labels = {
        idc: `idc-${i % 10}`,
        location: `region-${i % 3}|country-${i % 7}|city-${i}`,
      };
      await this.#admin("clusters", { name: `cluster-${i}`, labels });
    }
    await eachOf(ruleCount, CONNECTIONS, async (i) => {
      const clusters = [`cluster-${this.#prng.below(clusterCount)}`];
      await this.#admin("rules", { priority: i % 10, conditions: conditionsOf(i), clusters });
    });
  }

  /** Supernodes that send heartbeats until `stop`. */
  async startSupernodes(count: number, clusterCount: number, firstIndex = 0): Promise<void> {
    const connections = await opened(Math.min(count, CONNECTIONS), this.#port);
    this.#heartbeats.push(...connections);
    const joinToken = await this.#joinToken();
    await eachOf(count, connections.length, async (offset, worker) => {
      const i = firstIndex + offset;
      const machine = machineOf("supernode", `supernode-${i}`);
      const cluster = `cluster-${i % clusterCount}`;
      const join = requestOf("join", { ...machine, cluster }, joinToken);
      const { credential } = readJoin(await connections[worker]!.ask(join));
      const beat = requestOf("heartbeat", heartbeatOf(machine.hostId, i), credential);
      const connection = await HttpConnection.open(this.#port);
      this.#heartbeats.push(connection);
      await connection.ask(beat);
      // A heartbeat that is lost is one of many.
      const timer = setInterval(
        () => void connection.ask(beat).catch(() => {}),
        HEARTBEAT_INTERVAL_MS * (0.9 + this.#prng.below(200) / 1_000),
      );
      this.#timers.push(timer);
    });
  }

  /** Hosts as they are after their first list: joined, with measured latencies. */
  async joinHosts(count: number): Promise<BenchHost[]> {
    const hosts: BenchHost[] = [];
    const connections = await opened(CONNECTIONS, this.#port);
    const joinToken = await this.#joinToken();
    await eachOf(count, CONNECTIONS, async (i, worker) => {
      const machine = machineOf("peer", `web-${i}.example.org`);
      const join = requestOf("join", machine, joinToken);
      const { credential } = readJoin(await connections[worker]!.ask(join));
      const { hostId, hostname, version } = machine;
      const measured = Array.from({ length: 16 }, (_, k) => [
        `10.200.0.${(i + 7 * k) % 100}:8002`,
        0.3 + (k % 9),
      ]);
      hosts[i] = {
        credential,
        request: {
          ...{ hostId, hostname, version, knownVersion: 0, waitSeconds: 0 },
          addresses: [`10.${i % 256}.${(i >>> 8) % 256}.7`, `2001:db8:${i.toString(16)}::7`],
          labels: { idc: `idc-${i % 10}`, rack: `rack-${i % 400}`, team: `team-${i % 50}` },
          latencyMs: Object.fromEntries(measured),
        },
      };
    });
    for (const connection of connections) connection.close();
    return hosts;
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const connection of this.#heartbeats) connection.close();
  }

  async #joinToken(): Promise<string> {
    const { secret } = await this.#admin("tokens", { kind: "join" });
    return secret as string;
  }

  async #admin(path: string, body: unknown): Promise<Record<string, unknown>> {
    const response = await fetch(`http://127.0.0.1:${this.#port}/api/v1/${path}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${this.#adminToken}`,
        "content-type": "application/json",
      },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
    return (await response.json()) as Record<string, unknown>;
  }
}

/** A third each by address block, label and host name; few match any one host. */
function conditionsOf(i: number): Record<string, unknown> {
  switch (i % 3) {
    case 0:
      return {
        cidrs: [`10.${i % 256}.${(i >>> 2) % 256}.0/24`, `2001:db8:${i.toString(16)}::/48`],
      };
    case 1:
      return { labels: { team: `team-${i % 200}`, rack: `rack-${i % 1_000}` } };
    default:
      return { hostname: `*-${i}*.example.org` };
  }
}

function machineOf(role: "supernode" | "peer", hostname: string) {
  const { publicKey, privateKey: key } = generateKeyPairSync("ed25519");
  const spki = publicKey.export({ type: "spki", format: "der" });
  const hostId = toHex(digestNow("sha256", spki));
  const privateKey = new Secret(key.export({ type: "pkcs8", format: "der" }).toString("base64"));
  const proof = proveKey("join", { hostId, privateKey });
  return { role, hostId, hostname, version: "0.1.0", publicKey: spki.toString("base64"), proof };
}

function heartbeatOf(hostId: string, i: number): Heartbeat {
  return {
    ...{ hostId, version: "0.1.0", labels: {}, contents: 1_000, settingsVersion: 0, results: [] },
    addresses: [{ address: `10.200.0.${i}:8002` }, { address: `192.168.0.${i}:8002`, zone: "lab" }],
    load: { peers: 100, downloads: 10, uploadBytesPerSec: 1e8, sourceBytesPerSec: 1e6 },
    disk: { usedBytes: 1e12, quotaBytes: null, freeBytes: 1e12 },
  };
}

function opened(count: number, port: number): Promise<HttpConnection[]> {
  return Promise.all(Array.from({ length: count }, () => HttpConnection.open(port)));
}

/** Runs `work` for 0 … `count` − 1, as many at once as there are workers. */
export async function eachOf(
  count: number,
  workers: number,
  work: (index: number, worker: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const run = async (worker: number): Promise<void> => {
    while (next < count) await work(next++, worker);
  };
  await Promise.all(Array.from({ length: Math.min(count, workers) }, (_, worker) => run(worker)));
}

function readJoin({ status, body }: HttpAnswer): JoinFleetAnswer {
  if (status !== 200) throw new Error(`df config answered ${status}: ${body}`);
  return JSON.parse(body) as JoinFleetAnswer;
}
