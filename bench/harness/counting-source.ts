// A well-behaved source on loopback that counts every body byte it hands out: ranges, a strong
// ETag, an optional rate. Tests and demos read from it what `df` really took.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const CHUNK_BYTES = 64 << 10;

export interface CountingSourceOptions {
  bytes: Uint8Array;
  /** Of all connections together; small writes then keep socket buffers empty, so counts are exact. */
  bytesPerSec?: number;
}

/** Serves one file under any path until closed. */
export class CountingSource implements AsyncDisposable {
  readonly bytes: Uint8Array;
  #bytesPerSec: number;
  readonly #etag: string;
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch(() => response.destroy());
  });
  #nextSendAt = 0;
  #bodyBytes = 0;
  #requests = 0;

  private constructor(options: CountingSourceOptions) {
    this.bytes = options.bytes;
    this.#bytesPerSec = options.bytesPerSec ?? Infinity;
    this.#etag = `"${Bun.hash(options.bytes).toString(16)}"`;
  }

  static async start(options: CountingSourceOptions): Promise<CountingSource> {
    const source = new CountingSource(options);
    await new Promise<void>((resolve) => {
      source.#server.listen(0, "127.0.0.1", resolve);
    });
    return source;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/file`;
  }

  /** Of chunks that do not wait for their turn yet. */
  set bytesPerSec(rate: number) {
    this.#bytesPerSec = rate;
    this.#nextSendAt = 0;
  }

  get bodyBytes(): number {
    return this.#bodyBytes;
  }

  get requests(): number {
    return this.#requests;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#requests++;
    const total = this.bytes.length;
    const headers = {
      etag: this.#etag,
      "accept-ranges": "bytes",
      "last-modified": new Date(Date.now() - 86_400_000).toUTCString(),
      "content-type": "application/octet-stream",
    };
    if (request.headers["if-none-match"] === this.#etag) {
      response.writeHead(304, headers).end();
      return;
    }
    const range = this.#rangeOf(request);
    if (range === "unsatisfiable") {
      response.writeHead(416, { ...headers, "content-range": `bytes */${total}` }).end();
      return;
    }
    const [start, end] = range ?? [0, total];
    response.writeHead(range === null ? 200 : 206, {
      ...headers,
      "content-length": end - start,
      ...(range === null ? {} : { "content-range": `bytes ${start}-${end - 1}/${total}` }),
    });
    if (request.method !== "HEAD") await this.#send(response, start, end);
    response.end();
  }

  /** Null: the whole file. The end is exclusive. */
  #rangeOf(request: IncomingMessage): [number, number] | "unsatisfiable" | null {
    const ifRange = request.headers["if-range"];
    if (ifRange !== undefined && ifRange !== this.#etag) return null;
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    if (from === undefined) return null;
    if (Number(from) >= this.bytes.length) return "unsatisfiable";
    const end = to === undefined || to === "" ? this.bytes.length : Number(to) + 1;
    return [Number(from), Math.min(end, this.bytes.length)];
  }

  async #send(response: ServerResponse, start: number, end: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      response.once("close", resolve);
    });
    for (let offset = start; offset < end; offset += CHUNK_BYTES) {
      const chunk = this.bytes.subarray(offset, Math.min(end, offset + CHUNK_BYTES));
      await this.#pace(chunk.length);
      if (response.destroyed) return;
      this.#bodyBytes += chunk.length;
      if (response.write(chunk)) continue;
      const drained = new Promise<void>((resolve) => {
        response.once("drain", resolve);
      });
      await Promise.race([drained, closed]);
    }
  }

  /** Hands out time slots in order, one clock for all connections. */
  async #pace(bytes: number): Promise<void> {
    if (this.#bytesPerSec === Infinity) return;
    const now = performance.now();
    this.#nextSendAt = Math.max(now, this.#nextSendAt) + (bytes / this.#bytesPerSec) * 1000;
    await Bun.sleep(this.#nextSendAt - now);
  }
}

/** Bytes that no compressor shrinks and that differ at every offset. */
export function randomPayload(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let offset = 0; offset < length; offset += 65_536) {
    crypto.getRandomValues(bytes.subarray(offset, Math.min(length, offset + 65_536)));
  }
  return bytes;
}

export function sha256Hex(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

export async function sha256HexOfFile(path: string): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of Bun.file(path).stream()) hasher.update(chunk);
  return hasher.digest("hex");
}
