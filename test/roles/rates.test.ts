// The limits of the real roles, counted at the other end of their connections: no second holds more
// than the rate, 5 % and 1 MiB. Only bytes are judged; how late this process saw them is allowed for.

import { afterEach, expect, test } from "bun:test";
import { Pacer } from "../../src/engine/bytes/pacing.ts";
import { pieceCountOf, pieceLengthAt } from "../../src/engine/core/piece-layout.ts";
import { piecePath } from "../../src/net/wire/piece-api.ts";
import { startBadSource } from "../fixtures/bad-source.ts";
import type { Lateness } from "../fixtures/late-thread.ts";
import { isType, scriptedSwarmPeer } from "../fixtures/scripted-swarm-peer.ts";
import { supernodeFixture } from "../fixtures/supernode-fixture.ts";
import { scriptedSupernode } from "../net/scripted-supernode.ts";
import { Cleanups, eventsOf, peerFixture, randomBytes, seededContent } from "./peer-fixture.ts";

const RATE = 8 << 20;
const LENGTH = 3 * RATE;
const never = new AbortController().signal;
const cleanups = new Cleanups();
afterEach(() => cleanups.run());

/**
 * Notes when bytes passed, and how long they waited before this thread looked, or for a thread that
 * sent or passed them: where the CPU is scarce, what was admitted in its time comes late and together.
 */
class Ledger {
  readonly #entries: { atMs: number; bytes: number }[] = [];
  readonly #lags: Lateness[] = [];
  readonly #timer: Timer;
  readonly #other = new Worker(new URL("../fixtures/late-thread.ts", import.meta.url));

  constructor() {
    const everyMs = 5;
    let lookedAtMs = performance.now();
    this.#timer = setInterval(() => {
      const atMs = performance.now();
      this.#lags.push({ atMs, lagMs: Math.max(0, atMs - lookedAtMs - everyMs) });
      lookedAtMs = atMs;
    }, everyMs);
    this.#other.addEventListener("message", ({ data }: MessageEvent<Lateness>) => {
      this.#lags.push({ ...data, atMs: data.atMs - performance.timeOrigin });
    });
    cleanups.defer(() => {
      clearInterval(this.#timer);
      this.#other.terminate();
    });
  }

  note(bytes: number): void {
    this.#entries.push({ atMs: performance.now(), bytes });
  }

  get bytes(): number {
    return this.#entries.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The largest excess of any window of one second over 1.05 × rate + 1 MiB; negative: none. */
  worstExcess(): number {
    let worst = -Infinity;
    for (const [first, { atMs }] of this.#entries.entries()) {
      // What was late had passed before the window began.
      const lagMs = Math.max(
        0,
        ...this.#lags
          .filter((lag) => lag.atMs >= atMs - 50 && lag.atMs <= atMs + 1_000)
          .map(({ lagMs }) => lagMs),
      );
      let bytes = 0;
      for (let i = first; i < this.#entries.length && this.#entries[i]!.atMs < atMs + 1_000; i++)
        bytes += this.#entries[i]!.bytes;
      worst = Math.max(worst, bytes - 1.05 * RATE * (1 + lagMs / 1_000) - (1 << 20));
    }
    return worst;
  }
}

/** Notes what a piece server is asked for, and holds nothing back. */
class CountingPacer extends Pacer {
  readonly #ledger: Ledger;

  constructor(ledger: Ledger) {
    super(null);
    this.#ledger = ledger;
  }

  override admit(bytes: number): Promise<void> {
    this.#ledger.note(bytes);
    return Promise.resolve();
  }
}

/** Fetches every piece as fast as it is given, over some connections at once. */
async function fetchAll(
  address: string,
  content: { contentId: string; pieceLength: number },
  ledger: Ledger,
): Promise<void> {
  const { contentId, pieceLength } = content;
  const layout = { length: LENGTH, pieceLength };
  const pieces = Array.from({ length: pieceCountOf(LENGTH, pieceLength) }, (_, piece) => piece);
  const connection = async (): Promise<void> => {
    for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) {
      const last = pieceLengthAt(layout, piece) - 1;
      for (let at = 0; at <= last;) {
        const answer = await fetch(`http://${address}${piecePath(contentId, piece)}`, {
          headers: { range: `bytes=${at}-${last}` },
        });
        // A slot is free again once the last byte of the answer before has left.
        if (answer.status === 503) await Bun.sleep(1);
        else expect(answer.status).toBe(206);
        const body = new Uint8Array(await answer.arrayBuffer());
        if (answer.status === 503) continue;
        ledger.note(body.length);
        at += body.length;
      }
    }
  };
  await Promise.all([connection(), connection(), connection()]);
}

test("a supernode keeps its --source-rate and its --upload-rate in every second", async () => {
  const data = randomBytes(LENGTH);
  const [read, uploaded] = [new Ledger(), new Ledger()];
  const source = await startBadSource((reply) => {
    reply.serve(data);
    read.note(reply.request.bodyBytes);
  });
  cleanups.defer(() => source.stop());
  const node = await supernodeFixture({ sourceRate: RATE, uploadRate: RATE });
  cleanups.defer(() => node.stop());
  const peer = await scriptedSwarmPeer(node.current.address);
  cleanups.defer(() => peer.close());

  const joined = await peer.join(source.url);
  await peer.next(isType("closed"));
  await fetchAll(node.current.pieceAddress, joined, uploaded);

  expect(read.bytes).toBe(LENGTH);
  expect(uploaded.bytes).toBe(LENGTH);
  expect(read.worstExcess()).toBeLessThanOrEqual(0);
  expect(uploaded.worstExcess()).toBeLessThanOrEqual(0);
}, 60_000);

test("a peer keeps its --download-rate and its --upload-rate in every second", async () => {
  const [downloaded, uploaded] = [new Ledger(), new Ledger()];
  const content = await seededContent(cleanups, "http://files.test/a", {
    data: randomBytes(LENGTH),
    pacers: [new CountingPacer(downloaded)],
  });
  const supernode = scriptedSupernode({
    on: (message, channel) => content.giveAll(message, channel),
  });
  cleanups.defer(() => supernode.stop());
  const { client, peer } = await peerFixture(cleanups, {
    supernodes: [supernode.address],
    downloadRateBytesPerSec: RATE,
    uploadRateBytesPerSec: RATE,
  });

  await eventsOf(client.download({ url: "http://files.test/a" }, never));
  await fetchAll(peer.listen, { contentId: content.contentId, pieceLength: 65_536 }, uploaded);

  expect(downloaded.bytes).toBe(LENGTH);
  expect(uploaded.bytes).toBe(LENGTH);
  expect(downloaded.worstExcess()).toBeLessThanOrEqual(0);
  expect(uploaded.worstExcess()).toBeLessThanOrEqual(0);
}, 60_000);

test("a peer that reads a source itself keeps its --download-rate there too", async () => {
  const data = randomBytes(LENGTH);
  const read = new Ledger();
  const source = await startBadSource((reply) => {
    reply.serve(data);
    read.note(reply.request.bodyBytes);
  });
  cleanups.defer(() => source.stop());
  const { client } = await peerFixture(cleanups, { downloadRateBytesPerSec: RATE });

  await eventsOf(client.download({ url: source.url }, never));

  expect(read.bytes).toBe(LENGTH);
  expect(read.worstExcess()).toBeLessThanOrEqual(0);
}, 60_000);
