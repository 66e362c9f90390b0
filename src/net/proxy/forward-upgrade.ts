// A request that asks for another protocol on its connection (RFC 9110 §7.8), e.g. a WebSocket: passed on,
// and where the target agrees the two connections become one. Whatever else it answers is passed back, and is
// the last thing on the client's connection, which no parser reads any more.

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DfError, isDfError } from "../../errors.ts";
import { faultOfTransport } from "../source/source-fault.ts";
import { enter, type Forwarding, requestTo } from "./forward-request.ts";
import { endToEndFields, type Fields, formatHead, withVia } from "./message-fields.ts";
import type { ProxiedRequest } from "./proxied-request.ts";
import { joinSockets, type TunnelEnd } from "./tunnel.ts";

/** HTTP/2 is for the connection's two ends, and may be offered on any request: here it is not taken up. */
const NOT_PASSED_ON = /^h2c$/i;

/**
 * Settles when both connections are closed.
 * @throws {DfError} as forwardRequest, before anything was answered
 */
export async function forwardUpgrade(
  { message, signal }: Pick<ProxiedRequest, "message" | "signal">,
  client: TunnelEnd,
  head: Buffer,
  { outlet, url, via }: Forwarding,
): Promise<void> {
  const { upgrade = "" } = message.headers;
  if (
    message.headers["transfer-encoding"] !== undefined ||
    Number(message.headers["content-length"]) > 0
  ) {
    throw new DfError("usage", "upgrade: a request with a body cannot be another protocol's");
  }
  const passage = await enter(outlet, url, signal);
  const { "http2-settings": _offer, ...fields } = withVia(
    endToEndFields(message),
    message.httpVersion,
    via,
  );
  const asked = NOT_PASSED_ON.test(upgrade)
    ? fields
    : { ...fields, connection: "upgrade", upgrade };
  const request = requestTo(passage, message.method ?? "GET", asked);
  const interrupt = (): void => void request.destroy(new Error("the client left"));
  signal.addEventListener("abort", interrupt, { once: true });
  try {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    request.once("error", reject);
    request.once("response", (answer) => {
      passBack(answer, client, via).then(resolve, () => {
        // Only a broken connection tells that the rest is missing.
        client.destroy();
        resolve();
      });
    });
    request.once("upgrade", (answer, target: Socket, first: Buffer) => {
      const switched = {
        ...endToEndFields(answer),
        connection: "upgrade",
        upgrade: answer.headers.upgrade ?? upgrade,
      };
      client.write(headOf(answer, switched));
      if (first.length > 0) client.write(first);
      if (head.length > 0) target.write(head);
      joinSockets(client, target, {}, signal).then(resolve, reject);
    });
    request.end();
    await promise;
  } catch (error) {
    if (isDfError(error)) throw error;
    throw faultOfTransport(error, url.href).error;
  } finally {
    signal.removeEventListener("abort", interrupt);
    passage.leave();
  }
}

/** Writes the answer; in chunks where it has no length, so that its end can be told from a broken connection. */
async function passBack(answer: IncomingMessage, client: TunnelEnd, via: string): Promise<void> {
  const fields = withVia(endToEndFields(answer), answer.httpVersion, via);
  const isChunked = fields["content-length"] === undefined;
  const framing: Fields = isChunked ? { "transfer-encoding": "chunked" } : {};
  client.write(headOf(answer, { ...fields, ...framing, connection: "close" }), "latin1");
  const parts = isChunked ? chunksOf(answer) : answer;
  await pipeline(Readable.from(parts), client);
}

async function* chunksOf(answer: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const part of answer) {
    yield Buffer.concat([
      Buffer.from(`${part.length.toString(16)}\r\n`),
      part,
      Buffer.from("\r\n"),
    ]);
  }
  yield Buffer.from("0\r\n\r\n");
}

function headOf({ statusCode = 502, statusMessage = "" }: IncomingMessage, fields: Fields): string {
  return formatHead(statusCode, statusMessage, fields);
}
