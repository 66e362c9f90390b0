// One source read under way: what its connections share, whichever way the bytes come.

import type { PieceLayout } from "../../engine/core/piece-layout.ts";
import type { CutPlan } from "./piece-cutter.ts";
import type { RetryGate } from "./retry-gate.ts";
import { factsOf, namesVersion } from "./source-answer.ts";
import type { SourceAnswer } from "./exchange.ts";
import { type SourceClient, expectStatus } from "./source-client.ts";
import { finalFault, sourceChanged } from "./source-fault.ts";
import { redactUrl } from "../task-request.ts";
import type { SourceFacts, SourceRequest, SourceSink } from "./source-read.ts";

export class OpenRead implements CutPlan {
  readonly request: SourceRequest;
  readonly client: SourceClient;
  readonly gate: RetryGate;
  readonly facts: SourceFacts;
  readonly layout: PieceLayout;
  readonly sink: SourceSink;
  /** Indices, not a bitmap: a length may be unknown. */
  readonly #done: Set<number>;
  #bodyBytes = 0;

  /** @param have pieces that need not be read */
  constructor(
    shared: { request: SourceRequest; client: SourceClient; gate: RetryGate; sink: SourceSink },
    opened: { facts: SourceFacts; layout: PieceLayout; have: Iterable<number> },
  ) {
    this.request = shared.request;
    this.client = shared.client;
    this.gate = shared.gate;
    this.sink = shared.sink;
    this.facts = opened.facts;
    this.layout = opened.layout;
    this.#done = new Set(opened.have);
  }

  /** Body bytes taken from the source so far. */
  get bodyBytes(): number {
    return this.#bodyBytes;
  }

  /** How messages about this read begin. */
  get what(): string {
    return `read ${redactUrl(this.request.url)}`;
  }

  isDone(index: number): boolean {
    return this.#done.has(index);
  }

  done(index: number): void {
    this.#done.add(index);
  }

  /** The body's bytes, admitted by the rate limit and counted. */
  async *body(answer: SourceAnswer): AsyncGenerator<Uint8Array> {
    let admittedBytes = answer.admittedBytes;
    for await (const bytes of answer.body()) {
      const dueBytes = Math.max(0, bytes.length - admittedBytes);
      admittedBytes -= bytes.length - dueBytes;
      if (dueBytes > 0) await this.request.admit(dueBytes);
      this.#bodyBytes += bytes.length;
      this.gate.progressed(bytes.length);
      yield bytes;
    }
  }

  /** Whether an answer is of the version under way, as far as that can be told. */
  isOfVersion({ headers }: SourceAnswer): boolean {
    const { validator } = this.facts;
    const isUntold = validator === null || this.request.digest !== undefined;
    return isUntold || namesVersion(headers, validator);
  }

  /** Throws unless a whole-body answer is of the version under way; closes it then. */
  checkSame(answer: SourceAnswer): void {
    const { length } = this.facts;
    if (this.isOfVersion(answer) && factsOf(answer).length === length) return;
    answer.close();
    throw sourceChanged(this.request.url);
  }
}

/** Asks for the whole content, without Range. @throws {SourceFault} */
export async function askPlain(client: SourceClient, signal: AbortSignal): Promise<SourceAnswer> {
  const answer = await client.ask({}, signal);
  if (answer.status === 206) {
    answer.close();
    const what = `read ${redactUrl(answer.finalUrl)}`;
    throw finalFault("protocol", `${what}: the source answered 206 to a request without Range`);
  }
  expectStatus(answer, [200]);
  return answer;
}
