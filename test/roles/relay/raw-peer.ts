// A peer's proxy socket as the relay sees it: says that it lives when asked, and echoes every other
// connection with a mark in front. It can be told to hang.

import { rmSync } from "node:fs";

interface Connection {
  isQuestion: boolean | null;
}

export class RawPeer {
  readonly #path: string;
  #listener: Bun.UnixSocketListener<Connection> | null = null;
  readonly #unanswered: Bun.Socket<Connection>[] = [];
  questionCount = 0;
  isHanging = false;
  /** What is answered to the question. */
  answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

  constructor(path: string) {
    this.#path = path;
  }

  start(): void {
    this.#listener = Bun.listen<Connection>({
      unix: this.#path,
      allowHalfOpen: true,
      socket: {
        open: (socket) => void (socket.data = { isQuestion: null }),
        data: (socket, bytes) => this.#take(socket, bytes),
        end: (socket) => void socket.end(),
      },
    });
  }

  /** Answers all that it was asked while it hung, and goes on. */
  recover(): void {
    this.isHanging = false;
    for (const socket of this.#unanswered.splice(0)) socket.end(this.answer);
  }

  /** As a process that is killed: every connection breaks. */
  kill(): void {
    this.#listener?.stop(true);
    rmSync(this.#path, { force: true });
  }

  #take(socket: Bun.Socket<Connection>, bytes: Buffer): void {
    const isFirst = socket.data.isQuestion === null;
    socket.data.isQuestion ??= bytes.toString().startsWith("GET /livez ");
    if (!socket.data.isQuestion) {
      if (isFirst) socket.write("peer:");
      socket.write(bytes);
      return;
    }
    this.questionCount++;
    if (this.isHanging) this.#unanswered.push(socket);
    else socket.end(this.answer);
  }
}
