// Asks a source whether a version is still the current one, with headers only: HEAD, and where
// that is refused or does not agree, a GET of one byte.

import { RetryGate, throwIfInterrupted } from "./retry-gate.ts";
import { contentRangeOf, namesVersion } from "./source-answer.ts";
import { type SourceAnswer, SourceClient, expectStatus } from "./source-client.ts";
import { SourceFault } from "./source-fault.ts";
import type { RetryPolicy } from "../../engine/core/retry.ts";
import type { SourceAddress } from "./source-read.ts";

export interface SourceProbe extends SourceAddress {
  /** The version that is known: a strong ETag or a Last-Modified. */
  validator: string;
  retry?: RetryPolicy;
}

/**
 * Whether the source still holds the version that `validator` names.
 * @throws {DfError} as readSource; source-not-found and the like when it holds nothing any more
 */
export async function probeSource(
  probe: SourceProbe,
  signal: AbortSignal,
): Promise<"unchanged" | "changed"> {
  const client = new SourceClient(probe);
  const gate = new RetryGate(probe.retry);
  try {
    return await gate.retrying(signal, async () => {
      const head = await client.ask(condition(probe.validator), signal, "HEAD");
      head.close();
      if (isSameVersion(head, probe.validator)) return "unchanged";
      // Some servers refuse HEAD or answer it from elsewhere: only a GET may say "changed".
      const range = { range: "bytes=0-0" };
      const answer = await client.ask({ ...condition(probe.validator), ...range }, signal);
      answer.close();
      if (isSameVersion(answer, probe.validator)) return "unchanged";
      const isEmpty = answer.status === 416 && contentRangeOf(answer.headers)?.total === 0;
      if (!isEmpty) expectStatus(answer, [200, 206]);
      return "changed";
    });
  } catch (error) {
    throwIfInterrupted(signal);
    throw error instanceof SourceFault ? error.error : error;
  } finally {
    client.close();
  }
}

function condition(validator: string): Record<string, string> {
  const name = validator.startsWith('"') ? "if-none-match" : "if-modified-since";
  return { [name]: validator };
}

function isSameVersion({ status, headers }: SourceAnswer, validator: string): boolean {
  return status === 304 || ((status === 200 || status === 206) && namesVersion(headers, validator));
}
