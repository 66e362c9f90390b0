// A request that asks for another protocol on its connection (RFC 9110 §7.8), e.g. a WebSocket: passed on,
// and where the target agrees the two connections become one. Whatever else it answers ends the client's.

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { isDfError } from "../../errors.ts";
import { faultOfTransport } from "../source/source-fault.ts";
import { enter, type Forwarding, requestTo } from "./forward-request.ts";
import { endToEndFields, type Fields, withVia } from "./message-fields.ts";
import type { ProxiedRequest } from "./proxied-request.ts";
import { joinSockets, type TunnelEnd } from "./tunnel.ts";

/** An answer other than 101 is an explanation for people. */
const REFUSAL_BYTES_MAX = 64 << 10;

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
  const passage = await enter(outlet, url, signal);
  const { upgrade = "" } = message.headers;
  const fields = withVia(endToEndFields(message), message.httpVersion, via);
  const request = requestTo(passage, message.method ?? "GET", {
    ...{ ...fields, connection: "upgrade", upgrade },
  });
  const interrupt = (): void => void request.destroy(new Error("the client left"));
  signal.addEventListener("abort", interrupt, { once: true });
  try {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    request.once("error", reject);
    request.once("response", (answer) => {
      refusal(answer, via).then((text) => {
        client.end(text);
        resolve();
      }, reject);
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

async function refusal(answer: IncomingMessage, via: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > REFUSAL_BYTES_MAX) break;
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  const fields = withVia(endToEndFields(answer), answer.httpVersion, via);
  const framed = { ...fields, "content-length": String(body.length), connection: "close" };
  return Buffer.concat([Buffer.from(headOf(answer, framed), "latin1"), body]);
}

function headOf({ statusCode, statusMessage }: IncomingMessage, fields: Fields): string {
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    [value].flat().map((one) => `${name}: ${one}\r\n`),
  );
  return `HTTP/1.1 ${statusCode} ${statusMessage ?? ""}\r\n${lines.join("")}\r\n`;
}
