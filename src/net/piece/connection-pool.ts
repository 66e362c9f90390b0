// Idle connections to parents, kept for the next piece from the same one.

import { PieceConnection } from "./piece-connection.ts";

/** Idle connections kept in all: a host has few transfers at once, and parents change. */
const IDLE_MAX = 32;

/** Shorter than the server keeps an idle connection, so that it is rarely closed under our hands. */
const IDLE_TIMEOUT_MS = 20_000;

interface IdleConnection {
  connection: PieceConnection;
  timer: ReturnType<typeof setTimeout>;
}

export class ConnectionPool {
  readonly #stallTimeoutMs: number;
  /** The longest idle first. */
  #idle: IdleConnection[] = [];

  /** @param stallTimeoutMs a parent that delivers nothing for this long is given up */
  constructor(stallTimeoutMs: number) {
    this.#stallTimeoutMs = stallTimeoutMs;
  }

  /** An idle connection to this parent; undefined when a new one must be opened. */
  take(address: string): PieceConnection | undefined {
    const at = this.#idle.findLastIndex(({ connection }) => connection.address === address);
    if (at < 0) return undefined;
    const [{ connection, timer }] = this.#idle.splice(at, 1) as [IdleConnection];
    clearTimeout(timer);
    return connection;
  }

  /** @throws when nobody answers at the address, or the signal aborts */
  open(address: string, signal: AbortSignal): Promise<PieceConnection> {
    const onClosed = (connection: PieceConnection): void => this.#forget(connection);
    return PieceConnection.open(
      address,
      { onClosed, stallTimeoutMs: this.#stallTimeoutMs },
      signal,
    );
  }

  /** Keeps a connection whose exchange ended well. */
  give(connection: PieceConnection): void {
    if (!connection.isIdle) return;
    const timer = setTimeout(() => connection.close(), IDLE_TIMEOUT_MS);
    this.#idle.push({ connection, timer });
    if (this.#idle.length > IDLE_MAX) this.#idle[0]!.connection.close();
  }

  #forget(connection: PieceConnection): void {
    const at = this.#idle.findIndex((idle) => idle.connection === connection);
    if (at < 0) return;
    clearTimeout(this.#idle[at]!.timer);
    this.#idle.splice(at, 1);
  }
}
