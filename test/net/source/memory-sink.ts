// A source sink in memory for tests: keeps the bytes and checks every piece digest it is told.

import {
  pieceCountOf,
  pieceLengthFor,
  type PieceLayout,
} from "../../../src/engine/core/piece-layout.ts";
import { PieceSet } from "../../../src/engine/core/piece-set.ts";
import { egressFixture } from "../../fixtures/egress-fixture.ts";
import { readSource } from "../../../src/net/source/read-source.ts";
import type {
  SourceFacts,
  SourceRequest,
  SourceResult,
  SourceSink,
} from "../../../src/net/source/source-read.ts";

export interface MemorySink extends SourceSink {
  facts: SourceFacts | null;
  layout: PieceLayout | null;
  /** Lengths of the pieces that were told, by index; a piece told twice is an error. */
  pieces: Map<number, number>;
  bytes(): Uint8Array;
}

/** @param have indices of pieces that are there already */
export function memorySink(options: { pieceLength?: number; have?: number[] } = {}): MemorySink {
  let buffer = new Uint8Array(0);
  let end = 0;
  const sink: MemorySink = {
    facts: null,
    layout: null,
    pieces: new Map(),
    bytes: () => buffer.subarray(0, end),
    async opened(facts) {
      const pieceLength = options.pieceLength ?? pieceLengthFor(facts.length);
      const layout = { length: facts.length, pieceLength };
      sink.facts = facts;
      sink.layout = layout;
      const have = new PieceSet(
        facts.length === null ? 0 : pieceCountOf(facts.length, pieceLength),
      );
      for (const index of options.have ?? []) have.add(index);
      return { layout, have };
    },
    async write(offset, bytes) {
      end = Math.max(end, offset + bytes.length);
      if (end > buffer.length) {
        const grown = new Uint8Array(end * 2);
        grown.set(buffer);
        buffer = grown;
      }
      buffer.set(bytes, offset);
    },
    pieceRead(index, length, sha256) {
      if (sink.pieces.has(index)) throw new Error(`piece ${index} was told twice`);
      sink.pieces.set(index, length);
      const start = index * sink.layout!.pieceLength;
      const actual = new Bun.CryptoHasher("sha256").update(buffer.subarray(start, start + length));
      if (!actual.digest().equals(Buffer.from(sha256)))
        throw new Error(`piece ${index}: wrong digest`);
    },
  };
  return sink;
}

/** Reads with short waits; overrides only. */
export function read(
  url: string,
  sink: SourceSink,
  overrides: Partial<SourceRequest> & { signal?: AbortSignal } = {},
): Promise<SourceResult> {
  const { signal = new AbortController().signal, ...request } = overrides;
  return readSource(
    {
      url,
      headers: {},
      expected: null,
      connections: 4,
      admit: async () => {},
      egress: egressFixture(),
      timeoutMs: { connect: 2_000, firstByte: 2_000, stall: 2_000 },
      retry: { attemptsMax: 4, baseDelayMs: 2, delayMsMax: 10, retryAfterMsMax: 20 },
      ...request,
    },
    sink,
    signal,
  );
}

/** Bytes that differ everywhere, the same at each run. */
export function sampleBytes(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}
