// npm run bench:single: one host against curl. Unshaped loopback by default (a warm supernode, the
// peer empty at each run); with --host-rate a shaped link. Both end with a sync of the output.

import { unlink } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  DF,
  startPeer,
  startSupernode,
  type RunningPeer,
  type RunningSupernode,
} from "./harness/df-roles.ts";
import { downloadThrough, peerStatus } from "./harness/local-api-client.ts";
import { freePortPair } from "./harness/free-port.ts";
import { provenance } from "./harness/machine.ts";
import { makePayload, type Payload } from "./harness/payload.ts";
import { processUsage } from "./harness/process-usage.ts";
import { Session, stop, waitUntil } from "./harness/session.ts";
import { median, pairedRatios, rounded, summarize } from "./harness/statistics.ts";
import { parseBitRate, parseSize } from "./harness/units.ts";
import { createFleet, on, type Host } from "./swarm-real/network.ts";
import { startNginx, type Nginx } from "./swarm-real/nginx.ts";

const PIECE_PORT = 65002;

interface Options {
  length: number;
  pairs: number;
  /** Null: unshaped loopback. */
  hostBitsPerSec: number | null;
  json: boolean;
}

/** Where the three parts run; null hosts mean loopback. */
interface Place {
  source: Host | null;
  seed: Host | null;
  host: Host | null;
}

interface Measured {
  seconds: number;
  /** From the last piece on the peer to the command's exit; 0 for curl, which has no pieces. */
  tailMs: number;
  /** CPU of each process in this run; `get` from its own rusage. */
  cpuSeconds: Record<string, number>;
  /** Of the daemons; a child's own rusage begins with the memory of whoever forked it. */
  residentPeakBytes: Record<string, number>;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      size: { type: "string", default: "1GiB" },
      pairs: { type: "string", default: "5" },
      "host-rate": { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const rate = values["host-rate"];
  return {
    length: parseSize(values.size),
    pairs: Number(values.pairs),
    hostBitsPerSec: rate === undefined ? null : parseBitRate(rate),
    json: values.json,
  };
}

function wrapFor(host: Host | null): (command: string[]) => string[] {
  return host === null ? (command) => command : (command) => on(host, command);
}

/** Runs a command and a sync of its output; `sync` flushes that file alone. */
async function runAndSync(
  session: Session,
  place: Place,
  command: string[],
  output: string,
): Promise<{ seconds: number; exitedAtMs: number; cpuSeconds: number }> {
  const logPath = `${output}.log`;
  const startedAt = performance.now();
  const child = session.start(wrapFor(place.host)(command), { logPath });
  const code = await child.exited;
  const exitedAtMs = performance.now();
  if (code !== 0) throw new Error(`${command[0]}: exit ${code}: ${await Bun.file(logPath).text()}`);
  const sync = Bun.spawn(["sync", output]);
  await sync.exited;
  const seconds = (performance.now() - startedAt) / 1000;
  const usage = child.resourceUsage();
  return {
    seconds,
    exitedAtMs,
    cpuSeconds: Number(usage?.cpuTime.total ?? 0) / 1e6,
  };
}

async function measureCurl(session: Session, place: Place, url: string): Promise<Measured> {
  const output = join(session.folder, "curl-output");
  const run = await runAndSync(session, place, ["curl", "-sSf", "-o", output, url], output);
  await unlink(output);
  return {
    seconds: run.seconds,
    tailMs: 0,
    cpuSeconds: { curl: run.cpuSeconds },
    residentPeakBytes: {},
  };
}

/** A fresh peer each time: its store is empty, the supernode's is not. */
async function measureDf(
  session: Session,
  place: Place,
  supernode: RunningSupernode,
  url: string,
  name: string,
): Promise<Measured> {
  const peer = await startFreshPeer(session, place, supernode, name);
  const before = processUsage(supernode.child.pid)!;
  const peerBefore = processUsage(peer.child.pid)!;
  const output = join(session.folder, "df-output");
  const [run, lastPieceAtMs] = await Promise.all([
    runAndSync(
      session,
      place,
      [DF, "get", url, "-o", output, "--socket", peer.socket, "-q"],
      output,
    ),
    watchForLastPiece(peer, url),
  ]);
  const after = processUsage(supernode.child.pid)!;
  const peerAfter = processUsage(peer.child.pid)!;
  await stop(peer.child);
  await unlink(output);
  await Bun.$`rm -rf ${join(session.folder, name)}`;
  return {
    seconds: run.seconds,
    tailMs: run.exitedAtMs - lastPieceAtMs,
    cpuSeconds: {
      supernode: after.cpuSeconds - before.cpuSeconds,
      peer: peerAfter.cpuSeconds - peerBefore.cpuSeconds,
      get: run.cpuSeconds,
    },
    residentPeakBytes: {
      supernode: after.residentPeakBytes,
      peer: peerAfter.residentPeakBytes,
    },
  };
}

/** Joins the download that the command began, and tells when its last piece was on the peer. */
async function watchForLastPiece(peer: RunningPeer, url: string): Promise<number> {
  await waitUntil("see the download", async () => {
    const status = await peerStatus(peer.socket);
    return (status?.downloads.length ?? 0) > 0;
  });
  const { tailMs } = await downloadThrough(peer.socket, { url });
  return performance.now() - tailMs;
}

async function startFreshPeer(
  session: Session,
  place: Place,
  supernode: RunningSupernode,
  name: string,
): Promise<RunningPeer> {
  const listen =
    place.host === null
      ? `127.0.0.1:${await freePortPair()}`
      : `${place.host.address}:${PIECE_PORT}`;
  return startPeer(session, {
    name,
    listen,
    supernode: supernode.address,
    ...(place.host === null ? {} : { wrap: wrapFor(place.host), flags: ["--open"] }),
  });
}

async function placeFor(session: Session, options: Options): Promise<Place> {
  if (options.hostBitsPerSec === null) return { source: null, seed: null, host: null };
  const fleet = await createFleet(session, {
    hostCount: 1,
    hostBitsPerSec: options.hostBitsPerSec,
    seedBitsPerSec: options.hostBitsPerSec * 10,
  });
  return { source: fleet.source, seed: fleet.seed, host: fleet.hosts[0]! };
}

async function startSources(
  session: Session,
  place: Place,
  payload: Payload,
): Promise<{ forDf: Nginx; forCurl: Nginx }> {
  const port = place.source === null ? await freePortPair() : 8080;
  const forDf = await startNginx(session, {
    host: place.source,
    root: payload.root,
    name: "source",
    port,
  });
  if (place.seed === null) return { forDf, forCurl: forDf };
  // curl reads across the same two shaped links as `df` does.
  const forCurl = await startNginx(session, {
    host: place.seed,
    root: payload.root,
    name: "near",
    port,
  });
  return { forDf, forCurl };
}

async function bench(session: Session, options: Options): Promise<void> {
  const payload = await makePayload(session.folder, options.length);
  const place = await placeFor(session, options);
  const { forDf, forCurl } = await startSources(session, place, payload);
  const supernode = await startSupernode(session, {
    name: "supernode",
    host: place.seed?.address ?? "127.0.0.1",
    port: place.seed === null ? await freePortPair() : 8002,
    ...(place.seed === null ? {} : { wrap: wrapFor(place.seed), flags: ["--open"] }),
  });
  // Warms the supernode's store, and the page cache for both.
  await measureDf(session, place, supernode, forDf.url(payload.name), "warm-up");
  await measureCurl(session, place, forCurl.url(payload.name));

  const df: Measured[] = [];
  const curl: Measured[] = [];
  for (let pair = 0; pair < options.pairs; pair++) {
    // The order alternates, so that neither always meets the other's dirty pages.
    const order = pair % 2 === 0 ? ["df", "curl"] : ["curl", "df"];
    for (const name of order) {
      if (name === "df") {
        df.push(
          await measureDf(session, place, supernode, forDf.url(payload.name), `peer-${pair}`),
        );
      } else curl.push(await measureCurl(session, place, forCurl.url(payload.name)));
    }
    console.error(
      `pair ${pair + 1}: df ${df.at(-1)!.seconds.toFixed(2)} s, curl ${curl.at(-1)!.seconds.toFixed(2)} s`,
    );
  }
  print(options, df, curl);
}

function print(options: Options, df: Measured[], curl: Measured[]): void {
  const ratios = pairedRatios(
    df.map(({ seconds }) => seconds),
    curl.map(({ seconds }) => seconds),
  );
  const result = {
    bench: "single",
    ...provenance("bench:single"),
    temperature:
      "warm supernode, empty peer, page cache warm; every run ends with a sync of its output",
    df: describe(df, options.length),
    curl: describe(curl, options.length),
    ratio: summarize(ratios),
  };
  console.log(options.json ? JSON.stringify(result) : Bun.inspect(result, { depth: 6 }));
}

function describe(runs: Measured[], length: number): Record<string, unknown> {
  const names = Object.keys(runs[0]?.cpuSeconds ?? {});
  const perGib = 2 ** 30 / length;
  const cpu = names.map((name) => median(runs.map((run) => run.cpuSeconds[name]!)));
  const daemons = Object.keys(runs[0]?.residentPeakBytes ?? {});
  const peaks = daemons.map((name) => median(runs.map((run) => run.residentPeakBytes[name]!)));
  return {
    seconds: summarize(runs.map(({ seconds }) => seconds)),
    mibPerSec: rounded(length / 2 ** 20 / median(runs.map(({ seconds }) => seconds)), 1),
    tailMs: rounded(median(runs.map(({ tailMs }) => tailMs)), 0),
    cpuSeconds: Object.fromEntries(names.map((name, i) => [name, rounded(cpu[i]!)])),
    cpuSecondsPerGib: rounded(cpu.reduce((sum, value) => sum + value, 0) * perGib),
    residentPeakMib: Object.fromEntries(
      daemons.map((name, i) => [name, rounded(peaks[i]! / 2 ** 20, 0)]),
    ),
  };
}

const options = readOptions();
await Session.run("single", (session) => bench(session, options));
