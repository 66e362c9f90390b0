// Asks a source whether a version is still the current one, with headers only: HEAD, and where
// that is refused or does not agree, a GET of one byte.

import type { KeptAnswer } from "../../engine/core/freshness.ts";
import { keptAnswerOf } from "./cache-terms.ts";
import { patienceWith, RetryGate, throwIfInterrupted } from "./retry-gate.ts";
import { namesVersion, saysEmpty } from "./source-answer.ts";
import type { SourceAnswer } from "./exchange.ts";
import { SourceClient, expectStatus } from "./source-client.ts";
import { withoutFault } from "./source-fault.ts";
import type { RetryPolicy } from "../../engine/core/retry.ts";
import type { SourceAddress } from "./source-read.ts";

export interface SourceProbe extends SourceAddress {
  /** What names the version that is known: a strong ETag, a Last-Modified or a weak ETag. */
  revalidator: string;
  retry?: RetryPolicy;
}

const OVERLOAD_STATUSES = new Set([429, 502, 503, 504]);

/** What a source says of a version: also on which terms it may be used from now on. */
export type ProbeOutcome =
  | { readonly kind: "unchanged"; readonly answer: KeptAnswer }
  | { readonly kind: "changed" };

/**
 * Whether the source still holds the version that `revalidator` names.
 * @throws {DfError} as readSource; source-not-found and the like when it holds nothing any more
 */
export async function probeSource(probe: SourceProbe, signal: AbortSignal): Promise<ProbeOutcome> {
  const client = new SourceClient(probe);
  const gate = new RetryGate(probe.retry);
  try {
    const ask = async (): Promise<ProbeOutcome> => {
      const head = await client.ask(condition(probe.revalidator), signal, "HEAD");
      head.close();
      if (isSameVersion(head, probe.revalidator)) return unchanged(head);
      // A registry answers HEAD as GET, and counts a GET as a pull.
      if (probe.isRegistry === true && head.status === 200) return { kind: "changed" };
      // Asking twice would not help a source that is in trouble.
      if (OVERLOAD_STATUSES.has(head.status)) expectStatus(head, []);
      // Some servers refuse HEAD or answer it from elsewhere: only a GET may say "changed".
      const range = { range: "bytes=0-0" };
      const answer = await client.ask({ ...condition(probe.revalidator), ...range }, signal);
      answer.close();
      if (isSameVersion(answer, probe.revalidator)) return unchanged(answer);
      if (!saysEmpty(answer)) expectStatus(answer, [200, 206]);
      return { kind: "changed" };
    };
    return await gate.retrying(signal, ask, patienceWith(probe));
  } catch (error) {
    throwIfInterrupted(signal);
    throw withoutFault(error);
  } finally {
    client.close();
  }
}

function unchanged(answer: SourceAnswer): ProbeOutcome {
  return { kind: "unchanged", answer: keptAnswerOf(answer) };
}

function condition(revalidator: string): Record<string, string> {
  const isTag = /^(W\/)?"/.test(revalidator);
  return { [isTag ? "if-none-match" : "if-modified-since"]: revalidator };
}

function isSameVersion({ status, headers }: SourceAnswer, revalidator: string): boolean {
  if (status === 304) return true;
  if (status !== 200 && status !== 206) return false;
  // A weak tag names a version whatever the strength of its repetition (RFC 9110 §8.8.3.2).
  if (revalidator.startsWith("W/"))
    return headers.etag?.replace(/^W\//, "") === revalidator.slice(2);
  return namesVersion(headers, revalidator);
}
