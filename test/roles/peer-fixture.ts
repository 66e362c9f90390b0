// A real peer in this process, with a real source and, where a test wants it, a scripted supernode
// whose seed pieces come from a real piece server.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { wireMarkOf } from "../../src/engine/core/manifest.ts";
import { digestNow, toHex } from "../../src/engine/bytes/digest.ts";
import type { Pacer } from "../../src/engine/bytes/pacing.ts";
import { contentIdOf, taskIdOf } from "../../src/engine/bytes/task-id.ts";
import { encodePiece } from "../../src/engine/bytes/wire-form.ts";
import { pieceCountOf, pieceLengthAt } from "../../src/engine/core/piece-layout.ts";
import { PieceSet } from "../../src/engine/core/piece-set.ts";
import { LocalClient } from "../../src/net/local-client.ts";
import { PieceServer } from "../../src/net/piece/piece-server.ts";
import { taskFieldsOf } from "../../src/net/task-request.ts";
import type { DownloadStreamEvent } from "../../src/net/wire/local-api.ts";
import type { NumberedRow } from "../../src/net/wire/swarm-frames.ts";
import type { Joined, PeerMessage } from "../../src/net/wire/swarm-messages.ts";
import type { TaskRequest } from "../../src/net/wire/task.ts";
import { startPeer, type StartPeerOptions } from "../../src/roles/peer/start-peer.ts";
import type { ScriptedChannel } from "../net/scripted-supernode.ts";

type Cleanup = () => unknown;

/** Runs what a test deferred, last first. */
export class Cleanups {
  readonly #steps: Cleanup[] = [];

  defer(step: Cleanup): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (const step of this.#steps.splice(0).toReversed()) await step();
  }
}

export async function tempFolder(cleanups: Cleanups): Promise<string> {
  const folder = await mkdtemp(`${tmpdir()}/df-peer-`);
  cleanups.defer(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function peerFixture(cleanups: Cleanups, overrides: Partial<StartPeerOptions> = {}) {
  const folder = await tempFolder(cleanups);
  const warnings: string[] = [];
  const peer = await startPeer({
    supernodes: [],
    fleet: null,
    labels: {},
    listen: { hostname: "127.0.0.1", port: 0 },
    advertise: null,
    socketPath: `${folder}/peer.sock`,
    socketGroupId: null,
    dataDir: `${folder}/data`,
    downloadRateBytesPerSec: null,
    uploadRateBytesPerSec: null,
    diskRateBytesPerSec: null,
    quotaBytes: null,
    uploadSlots: 3,
    lingerMs: null,
    onWarning: (message) => warnings.push(message),
    ...overrides,
  });
  let isStopped = false;
  const stop = async (graceMs = 0): Promise<void> => {
    if (!isStopped) await peer.stop(graceMs);
    isStopped = true;
  };
  cleanups.defer(stop);
  return { peer, stop, warnings, folder, client: new LocalClient(peer.socketPath) };
}

/** A source that counts its requests and body bytes. */
export function sourceFixture(cleanups: Cleanups, data: Uint8Array, etag = '"v1"') {
  const state = { data, etag, gets: 0, isDown: false, givesRanges: true };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    fetch(request) {
      if (state.isDown) return new Response(null, { status: 503 });
      if (request.method === "GET") state.gets++;
      const { givesRanges } = state;
      const headers = { etag: state.etag, "accept-ranges": givesRanges ? "bytes" : "none" };
      const asked = givesRanges ? request.headers.get("range") : null;
      const range = /^bytes=(\d+)-(\d*)$/.exec(asked ?? "");
      const { length } = state.data;
      if (range === null || length === 0) return new Response(state.data.slice(), { headers });
      const start = Number(range[1]);
      const end = Math.min(range[2] === "" ? length : Number(range[2]) + 1, length);
      const part = state.data.slice(start, end);
      const contentRange = { "content-range": `bytes ${start}-${end - 1}/${length}` };
      return new Response(part, { status: 206, headers: { ...headers, ...contentRange } });
    },
  });
  cleanups.defer(() => server.stop(true));
  return Object.assign(state, { url: `http://127.0.0.1:${server.port}/file` });
}

export function randomBytes(length: number): Buffer {
  return Buffer.alloc(
    length,
    crypto.getRandomValues(new Uint8Array(Math.min(65_521, length || 1))),
  );
}

/** A version of a task as a supernode has it: rows, digests, and a piece server with all of it. */
export async function seededContent(
  cleanups: Cleanups,
  url: string,
  options: {
    data: Buffer;
    version?: string;
    pieceLength?: number;
    have?: number[];
    pacers?: Pacer[];
    /** What the task is beside its URL. @defaultValue a plain one */
    asked?: Partial<TaskRequest>;
    /** How each piece travels; all travel plain when left out. */
    form?: (piece: number) => { zstdLevel: number; key: Uint8Array | null };
  },
) {
  const { data, version = '"v1"', pieceLength = 65_536, pacers = [], asked = {} } = options;
  const folder = await tempFolder(cleanups);
  const plain: TaskRequest = { url, headers: {}, tag: "", filterQuery: [], checksum: "" };
  const task = { ...plain, ...asked };
  const taskId = taskIdOf(taskFieldsOf(task, "public"));
  const contentId = contentIdOf(taskId, version, data.length);
  const layout = { length: data.length, pieceLength };
  const pieceCount = pieceCountOf(data.length, pieceLength);
  const server = new PieceServer({ hostname: "127.0.0.1", port: 0, uploadSlots: 64, pacers });
  cleanups.defer(() => server.stop());
  const have = new PieceSet(pieceCount);
  for (const piece of options.have ?? PieceSet.full(pieceCount)) have.add(piece);
  const { form = () => ({ zstdLevel: 0, key: null }) } = options;
  const rows: NumberedRow[] = [];
  const rest = Buffer.alloc(data.length);
  for (let piece = 0; piece < pieceCount; piece++) {
    const from = piece * pieceLength;
    const bytes = data.subarray(from, from + pieceLengthAt(layout, piece));
    const { wire, row } = await encodePiece(bytes, { contentId, index: piece, ...form(piece) });
    rest.set(wire, from);
    rows.push({ piece, row });
  }
  const path = `${folder}/data`;
  await writeFile(path, rest);
  const formsOf = (): number[] => rows.flatMap(({ row }) => [row.wireLength, wireMarkOf(row)]);
  const wireForms = new Uint32Array(formsOf());
  // A parent of plain pieces alone tells no forms apart: so it can lie, as a hostile one would.
  const formed = options.form === undefined ? {} : { wireForms };
  server.serve(contentId, { path, layout, words: have.words, pieceCount, ...formed });
  const md5 = toHex(digestNow("md5", data));
  return {
    /** What lies in the parent's data file. */
    rest,
    /** Gives other bytes from now on, and says of them what `rows` does. */
    async rewrite(bytes: Buffer): Promise<void> {
      await writeFile(path, bytes);
      wireForms.set(formsOf());
    },
    ...{ contentId, taskId, rows, md5, pieceCount, have, server },
    address: `127.0.0.1:${server.port}`,
    joined: (request: number, handle: number): Joined => ({
      ...{ type: "joined", request, handle, contentId, taskId, pieceLength },
      ...{ length: data.length, validator: version, lastModified: null },
      ...{ md5, sha256: null, swarmSize: 1 },
    }),
    /** Answers a join and gives out every piece at once. */
    giveAll(message: PeerMessage, channel: ScriptedChannel, handle = 1): void {
      if (message.type !== "join") return;
      channel.say(this.joined(message.request, handle));
      this.give(channel, handle);
    },
    give(channel: ScriptedChannel, handle: number, pieces = rows.map(({ piece }) => piece)): void {
      channel.raw(channel.frames.rows(handle, rows));
      const { address } = this;
      const assignments = pieces.map((piece) => ({ piece, count: 1, parent: 0, address }));
      channel.raw(channel.frames.assign(handle, assignments));
    },
  };
}

/** All events of a download, to its end. */
export async function eventsOf(
  events: AsyncIterable<DownloadStreamEvent>,
): Promise<DownloadStreamEvent[]> {
  const all: DownloadStreamEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

export function eventOf<Kind extends DownloadStreamEvent["event"]>(
  events: readonly DownloadStreamEvent[],
  kind: Kind,
) {
  return events.find((event) => event.event === kind) as Extract<
    DownloadStreamEvent,
    { event: Kind }
  >;
}

/** A content's bytes as the local API streams them. */
export async function bytesOf(
  client: LocalClient,
  contentId: string,
  length: number,
  signal = new AbortController().signal,
  access = "",
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  const range = { from: 0, to: length, access };
  for await (const chunk of client.contents(contentId, range, signal)) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
