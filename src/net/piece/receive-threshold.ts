// Lets the kernel wake us for a handful of packets instead of for each one: on a link of 10 Mb/s
// every packet comes alone, and a wake-up costs more CPU than its bytes. SO_RCVLOWAT (socket(7))
// is raised while a body arrives and lowered for its end and for the next head.

import type { Socket } from "bun";
import { FFIType } from "bun:ffi";
import { openLibc } from "../../libc.ts";

/**
 * Bytes of this much time may wait in the kernel: far below what a stall looks at, and with 64 KiB
 * enough for a small piece to come in two reads, its head and the rest.
 */
const WAIT_MS = 250;

/** What came in less time says little about the rate. */
const MEASURED_MS = 40;

/** The kernel gives a socket at least twice this as buffer, so the sender never stops for it. */
const THRESHOLD_BYTES_MAX = 64 << 10;

const SOL_SOCKET = 1;
const SO_RCVLOWAT = 18;
const INT_BYTES = 4;

type SetSocketOption = (
  socket: number,
  level: number,
  option: number,
  value: Int32Array,
  length: number,
) => number;

let setSocketOption: SetSocketOption | null = null;
const value = new Int32Array(1);

/** Of the last body on any connection: the parents of a host share its link. 0: not known. */
let usualBytesPerMs = 0;

/** The threshold of one socket. Where the system has none, packets wake us one by one. */
export class ReceiveThreshold {
  #socket: Socket | null = null;
  #current = 1;
  #startedMs = 0;
  #bytes = 0;

  attach(socket: Socket): void {
    if (process.platform === "linux") this.#socket = socket;
  }

  /** A body begins. */
  begin(nowMs: number): void {
    this.#startedMs = nowMs;
    this.#bytes = 0;
  }

  /** @param bytesLeft what is still to come of the body; the threshold is never above it */
  received(nowMs: number, byteCount: number, bytesLeft: number): void {
    this.#bytes += byteCount;
    const elapsedMs = nowMs - this.#startedMs;
    if (elapsedMs >= MEASURED_MS) usualBytesPerMs = this.#bytes / elapsedMs;
    this.#set(thresholdFor(usualBytesPerMs, bytesLeft));
  }

  #set(threshold: number): void {
    if (threshold === this.#current || this.#socket === null) return;
    this.#current = threshold;
    setSocketOption ??= bindSetSocketOption();
    value[0] = threshold;
    setSocketOption(descriptorOf(this.#socket), SOL_SOCKET, SO_RCVLOWAT, value, INT_BYTES);
  }
}

/** A power of two while there is plenty to come, so that it seldom changes; the rest at the end. */
export function thresholdFor(bytesPerMs: number, bytesLeft: number): number {
  const wanted = Math.min(bytesPerMs * WAIT_MS, THRESHOLD_BYTES_MAX);
  const threshold = wanted < 2 ? 1 : 2 ** Math.floor(Math.log2(wanted));
  return Math.max(1, Math.min(threshold, bytesLeft));
}

/** Bun's sockets have a descriptor that its types do not tell. */
function descriptorOf(socket: Socket): number {
  return (socket as Socket & { fd: number }).fd;
}

function bindSetSocketOption(): SetSocketOption {
  const { i32, ptr } = FFIType;
  const { setsockopt } = openLibc({
    setsockopt: { args: [i32, i32, i32, ptr, i32], returns: i32 },
  });
  return setsockopt;
}
