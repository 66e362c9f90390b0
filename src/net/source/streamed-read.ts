// A source read as one stream: for sources without ranges, without a length or without a validator.

import type { OpenRead } from "./open-read.ts";
import { askPlain } from "./open-read.ts";
import { PieceCutter } from "./piece-cutter.ts";
import { SourceFault, finalFault, tooLong, transientFault } from "./source-fault.ts";
import type { SourceAnswer } from "./exchange.ts";

/**
 * Reads the whole body in order, from `first` or from a new request; what is done is passed over.
 * @returns the content's length
 */
export async function readStreamed(
  read: OpenRead,
  first: SourceAnswer | null,
  signal: AbortSignal,
): Promise<number> {
  let answer = first;
  return read.gate.retrying(signal, async () => {
    const current = answer ?? (await askPlain(read.client, signal));
    answer = null;
    read.checkSame(current);
    try {
      return await copyAll(read, current);
    } catch (error) {
      throw repeatable(read, error);
    }
  });
}

async function copyAll(read: OpenRead, answer: SourceAnswer): Promise<number> {
  const { length } = read.layout;
  const { url, lengthMax = Infinity } = read.request;
  const cutter = new PieceCutter(read, 0);
  for await (const bytes of read.body(answer)) {
    if (cutter.position + bytes.length > lengthMax) throw tooLong(url, lengthMax);
    if (length !== null && cutter.position + bytes.length > length) {
      throw finalFault("protocol", `${read.what}: the body is longer than announced`);
    }
    await cutter.push(bytes);
  }
  if (length !== null && cutter.position !== length) {
    throw transientFault("network", `${read.what}: the body ended early`);
  }
  cutter.end();
  return cutter.position;
}

/** Without a validator nothing says that a second body is of the same version: then a fault is final. */
function repeatable(read: OpenRead, error: unknown): unknown {
  const canRepeat = read.facts.validator !== null || read.bodyBytes === 0;
  if (canRepeat || !(error instanceof SourceFault)) return error;
  return new SourceFault(error.error, { isTransient: false });
}
