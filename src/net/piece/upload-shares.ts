// Who may upload from here when all slots are taken: one machine that reads as slowly as it can must
// not keep the others away. The server does not hear when an answer was read to its end; a connection
// that asks again has read the one before.
//
// Invariant: a host whose earlier answers were all read always finds a place, as long as fewer than
// OVERCOMMIT times the slots are taken.

/** Places beyond the slots, for hosts that hold none: slow readers may hold all others. */
const OVERCOMMIT = 4;

/** A connection that asked nothing for so long has read its answer, or is closed by the idle timeout. */
const FORGOTTEN_AFTER_MS = 60_000;

export class UploadShares {
  /** When each connection of a host asked last, by address and port. */
  readonly #hosts = new Map<string, Map<number, number>>();
  #sweptAtMs = 0;

  /**
   * Whether a request may be answered now.
   * @param pending requests under way, this one among them
   */
  admits(
    from: { address: string; port: number },
    { pending, slots, nowMs }: { pending: number; slots: number; nowMs: number },
  ): boolean {
    this.#sweep(nowMs);
    const connections = this.#hosts.get(from.address);
    // What this connection asked before it has read: else it could not ask again.
    connections?.delete(from.port);
    const isIdle = connections === undefined || connections.size === 0;
    const isAdmitted = pending <= slots || (isIdle && slots > 0 && pending <= slots * OVERCOMMIT);
    if (isAdmitted) this.#note(from, nowMs);
    return isAdmitted;
  }

  #note({ address, port }: { address: string; port: number }, nowMs: number): void {
    const connections = this.#hosts.get(address) ?? new Map<number, number>();
    connections.set(port, nowMs);
    this.#hosts.set(address, connections);
  }

  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < FORGOTTEN_AFTER_MS) return;
    this.#sweptAtMs = nowMs;
    for (const [address, connections] of this.#hosts) {
      for (const [port, askedAtMs] of connections) {
        if (nowMs - askedAtMs >= FORGOTTEN_AFTER_MS) connections.delete(port);
      }
      if (connections.size === 0) this.#hosts.delete(address);
    }
  }
}
