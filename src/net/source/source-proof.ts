// Asks a source whether somebody may have a content, with his own header fields, and which version it
// names to him: one byte by Range, broken off at the headers, or HEAD where that is wanted.

import type { KeptAnswer } from "../../engine/core/freshness.ts";
import { patienceWith, type RetryGate, throwIfInterrupted } from "./retry-gate.ts";
import type { SourceAnswer } from "./exchange.ts";
import { factsOf, mayBeNamed, saysEmpty } from "./source-answer.ts";
import { SourceClient, expectStatus } from "./source-client.ts";
import { otherDigest, withoutFault } from "./source-fault.ts";
import type { SourceAddress } from "./source-read.ts";

/** What a source named to one who may have it. */
export interface ProvenVersion {
  /** As SourceFacts.validator. */
  readonly validator: string | null;
  /** Null: the source gave no usable length. */
  readonly length: number | null;
  readonly answer: KeptAnswer;
}

export interface ProofRequest extends SourceAddress {
  /** HEAD is for registries, which answer it as they answer GET. @defaultValue GET */
  method?: "GET" | "HEAD";
}

/**
 * Returns when the source gave its consent.
 * @param gate shared by all proofs at this source: one that is told to wait makes all wait
 * @throws {DfError} source-unauthorized, -forbidden, -not-found with the source's status; as readSource
 */
export async function proveAtSource(
  { method = "GET", ...address }: ProofRequest,
  gate: RetryGate,
  signal: AbortSignal,
): Promise<ProvenVersion> {
  const client = new SourceClient(address);
  try {
    const ask = async (): Promise<ProvenVersion> => {
      const answer = await consentOf(client, address, method, signal);
      answer.close();
      const { digest } = address;
      const { validator, length, answer: said } = factsOf(answer, digest);
      const isEmpty = saysEmpty(answer);
      if (!isEmpty) expectStatus(answer, [200, 206]);
      if (digest !== undefined && !mayBeNamed(answer, digest)) throw otherDigest(address.url);
      gate.succeeded();
      return { validator, length: isEmpty ? 0 : length, answer: said };
    };
    return await gate.retrying(signal, ask, patienceWith(address));
  } catch (error) {
    throwIfInterrupted(signal);
    throw withoutFault(error);
  } finally {
    client.close();
  }
}

/** The answer's headers to one byte, or to HEAD where that is answered as GET is. */
async function consentOf(
  client: SourceClient,
  { url }: SourceAddress,
  method: "GET" | "HEAD",
  signal: AbortSignal,
): Promise<SourceAnswer> {
  if (method === "HEAD") {
    const answer = await client.ask({}, signal, "HEAD");
    // What a registry leads to may be signed for GET alone.
    const isElsewhere = new URL(answer.finalUrl).origin !== new URL(url).origin;
    const isNoWord = isElsewhere ? answer.status >= 400 : NO_HEAD.has(answer.status);
    if (!isNoWord) return answer;
    answer.close();
  }
  return client.ask({ range: "bytes=0-0" }, signal);
}

/** It knows no HEAD. */
const NO_HEAD = new Set([405, 501]);
