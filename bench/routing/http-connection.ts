// One keep-alive HTTP connection on a bare socket, one request at a time: cheap enough that ten
// thousand of them leave the core to what is measured.

import type { Socket } from "bun";

export interface HttpAnswer {
  status: number;
  body: string;
}

export class HttpConnection {
  #socket: Socket | null = null;
  #received = "";
  #waiting: PromiseWithResolvers<HttpAnswer> | null = null;

  static async open(port: number): Promise<HttpConnection> {
    const connection = new HttpConnection();
    connection.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_, chunk) => connection.#take(chunk.toString("latin1")),
        close: () => connection.#lost(),
        error: () => connection.#lost(),
      },
    });
    return connection;
  }

  /** @param request head and body, as `requestOf` makes them */
  ask(request: string): Promise<HttpAnswer> {
    if (this.#waiting !== null) throw new Error("one request at a time");
    this.#waiting = Promise.withResolvers<HttpAnswer>();
    const { promise } = this.#waiting;
    if (this.#socket!.write(request) < request.length) this.#lost();
    return promise;
  }

  close(): void {
    this.#waiting = null;
    this.#socket?.end();
  }

  #take(text: string): void {
    this.#received += text;
    const headEnd = this.#received.indexOf("\r\n\r\n");
    if (headEnd < 0) return;
    const head = this.#received.slice(0, headEnd);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
    const end = headEnd + 4 + length;
    if (this.#received.length < end) return;
    const body = this.#received.slice(headEnd + 4, end);
    this.#received = this.#received.slice(end);
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.resolve({ status: Number(head.slice(9, 12)), body });
  }

  #lost(): void {
    this.#waiting?.reject(new Error("df config closed the connection"));
    this.#waiting = null;
  }
}

/** A request as it travels. */
export function requestOf(call: string, body: unknown, bearer: string): string {
  // One byte a character, so that lengths are those of the wire.
  const text = JSON.stringify(body);
  return (
    `POST /api/v1/${call} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${bearer}\r\n` +
    `content-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`
  );
}
