// Reads one version of a source, each byte once: the first stage of the data's way. One bounded
// range request both asks what the source is and starts the transfer; what it answers decides:
//
//   206 with total and validator ─▶ up to `connections` ranges, each the next missing pieces
//   200 ──────────────────────────▶ that body as one stream
//   anything odd ─────────────────▶ one plain request, as one stream
//
// Every later answer must name the version of the first, or the read ends with source-changed.

import { OpenRead, askPlain } from "./open-read.ts";
import { RangedRead } from "./ranged-read.ts";
import { patienceWith, RetryGate, throwIfInterrupted } from "./retry-gate.ts";
import { contentRangeOf, factsOf, mayBeNamed, namesVersion } from "./source-answer.ts";
import type { SourceAnswer } from "./exchange.ts";
import { SourceClient, expectStatus } from "./source-client.ts";
import { otherDigest, sourceChanged, tooLong, withoutFault } from "./source-fault.ts";
import type {
  ReadSource,
  SourceFacts,
  SourceRequest,
  SourceResult,
  SourceSink,
} from "./source-read.ts";
import { readStreamed } from "./streamed-read.ts";

/**
 * Bytes of the first request. Bounded, so that the other connections have something to take and
 * nothing is read twice; a multiple or a fraction of every piece length. Most small files fit.
 */
const FIRST_RANGE_BYTES = 1 << 20;

export const readSource: ReadSource = async (request, sink, signal) => {
  const client = new SourceClient(request);
  try {
    return await read({ request, sink, client, gate: new RetryGate(request.retry) }, signal);
  } catch (error) {
    throwIfInterrupted(signal);
    throw withoutFault(error);
  } finally {
    client.close();
  }
};

interface ReadParts {
  request: SourceRequest;
  sink: SourceSink;
  client: SourceClient;
  gate: RetryGate;
}

async function read(parts: ReadParts, signal: AbortSignal): Promise<SourceResult> {
  const { request, client, gate, sink } = parts;
  const ask = (): Promise<SourceAnswer> => askFirst(client, request, signal);
  const first = await gate.retrying(signal, ask, patienceWith(request));
  const facts = factsOf(first, request.digest);
  let opened;
  try {
    checkExpected(request, first, facts);
    opened = await sink.opened(facts);
  } catch (error) {
    first.close();
    throw error;
  }
  const { layout, have } = opened;
  if (layout.length !== null && have.isFull) {
    first.close();
    return { length: layout.length, bodyBytes: 0 };
  }
  const open = new OpenRead(parts, { facts, layout, have });
  if (layout.length === null || first.status === 200) {
    return { length: await readStreamed(open, first, signal), bodyBytes: open.bodyBytes };
  }
  const isComplete = await new RangedRead(open, have, signal).run(first);
  if (!isComplete) await readStreamed(open, null, signal);
  return { length: layout.length, bodyBytes: open.bodyBytes };
}

/** The first answer: a 200, or a 206 that further ranges can be built on. */
async function askFirst(
  client: SourceClient,
  request: SourceRequest,
  signal: AbortSignal,
): Promise<SourceAnswer> {
  const { expected, startAt = 0, startBytes = FIRST_RANGE_BYTES } = request;
  const limit = request.requestBytesMax?.() ?? null;
  const length = Math.min(startBytes, FIRST_RANGE_BYTES, limit ?? Infinity);
  if (limit !== null) await request.admit(length);
  const range = `bytes=${startAt}-${startAt + length - 1}`;
  const { digest } = request;
  const isNamed = digest !== undefined;
  const condition = expected === null || isNamed ? {} : { "if-range": expected.validator };
  const answer = await client.ask({ range, ...condition }, signal);
  if (limit !== null) answer.admittedBytes = length;
  if (answer.status === 206 && isUsableFirstRange(answer, { startAt, isNamed })) return answer;
  if (answer.status === 206 || answer.status === 416) {
    answer.close();
    return askPlain(client, signal);
  }
  expectStatus(answer, [200]);
  return answer;
}

/**
 * Whether more ranges can follow this answer. Without a validator, and without a digest that names the
 * content, they could mix two versions, so then it must be the whole content already.
 */
function isUsableFirstRange(
  answer: SourceAnswer,
  { startAt, isNamed }: { startAt: number; isNamed: boolean },
): boolean {
  const range = contentRangeOf(answer.headers);
  if (range?.bytes?.first !== startAt || range.total === null) return false;
  const isWhole = startAt === 0 && range.bytes.last === range.total - 1;
  return isWhole || isNamed || factsOf(answer).validator !== null;
}

function checkExpected(request: SourceRequest, answer: SourceAnswer, facts: SourceFacts): void {
  const { expected, url, digest, lengthMax = Infinity } = request;
  if (digest !== undefined && !mayBeNamed(answer, digest)) throw otherDigest(url);
  if (facts.length !== null && facts.length > lengthMax) throw tooLong(url, lengthMax);
  if (expected === null) return;
  const isSameLength = expected.length === null || expected.length === facts.length;
  const isSame = digest !== undefined || namesVersion(answer.headers, expected.validator);
  if (!isSame || !isSameLength) throw sourceChanged(url);
}
