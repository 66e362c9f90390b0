// Requests that two parsers could read in two ways (RFC 9112 §11.2) are refused, and nothing that
// follows them on the connection is answered as a request.

import { expect, test } from "bun:test";
import { connect } from "node:net";
import { Session } from "../../bench/harness/session.ts";
import { PieceServer } from "../../src/net/piece/piece-server.ts";
import { configFixture } from "../fixtures/config-fixture.ts";

const NEXT = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

const AMBIGUOUS: [string, string][] = [
  [
    "both lengths",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  [
    "two lengths",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
  ],
  ["a list of lengths", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello"],
  ["a signed length", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"],
  ["a folded field", "GET /a HTTP/1.1\r\nHost: a\r\nX: b\r\n c: d\r\n\r\n"],
  ["bare line feeds", "GET /a HTTP/1.1\nHost: a\n\n"],
  ["one bare line feed", "GET /a HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"],
  [
    "an unknown coding",
    "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
  ],
  [
    "two codings",
    "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
  ],
  [
    "a space before the colon",
    "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
  ],
  ["a zero byte", "GET /a HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n"],
  ["no host", "GET /a HTTP/1.1\r\n\r\n"],
];

function answersTo(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    // The server ends each connection; one that it kept open would never come to an end here.
    socket.setTimeout(20_000, () => socket.destroy());
    socket.on("data", (data) => (answer += data.toString("latin1")));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(answer));
  });
}

test("T-26: what can be read in two ways is refused, and the connection with it", async () => {
  await Session.run("smuggling", async (session) => {
    const { url } = await configFixture(session);
    const pieces = new PieceServer({ hostname: "127.0.0.1", port: 0, uploadSlots: 3, pacers: [] });
    session.defer(() => pieces.stop());

    for (const port of [Number(new URL(url).port), pieces.port]) {
      const answers = await Promise.all(
        AMBIGUOUS.map(([, request]) => answersTo(port, request + NEXT)),
      );
      for (const [i, answer] of answers.entries()) {
        const sent = AMBIGUOUS[i]![0];
        const statuses = [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
        expect({ sent, statuses }).toEqual({
          sent,
          statuses: [expect.stringMatching(/^(400|505)$/)],
        });
      }
    }
  });
});
