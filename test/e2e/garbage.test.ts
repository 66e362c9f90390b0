// Whatever arrives on a port is answered or cut off; the process lives and goes on with its work.

import { expect, test } from "bun:test";
import { connect, type NetConnectOpts } from "node:net";
import {
  CountingSource,
  randomPayload,
  sha256Hex,
  sha256HexOfFile,
} from "../../bench/harness/counting-source.ts";
import { peerStatus } from "../../bench/harness/local-api-client.ts";
import { getArgs, hasDf, outputIn, runDf, withSwarm } from "../fixtures/spawn-df.ts";

const GARBAGE: [string, Uint8Array | string][] = [
  // Its first byte can begin no method: what may pass for one is told apart below.
  ["random bytes", new Uint8Array([0, ...randomPayload(4096)])],
  [
    "a TLS greeting",
    new Uint8Array([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]),
  ],
  ["a request line without end", "GET /".padEnd(40_000, "a")],
  ["a header without end", `GET / HTTP/1.1\r\nX: ${"b".repeat(60_000)}`],
  ["an unknown path", "GET /nothing/here HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"],
  [
    "a path that climbs",
    "GET /v1/pieces/../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  ],
  [
    "a piece that is no number",
    `GET /v1/pieces/${"0".repeat(64)}/-1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
  ],
  ["a lying length", "POST /v1/downloads HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n"],
  [
    "a body that is no JSON",
    'POST /v1/downloads HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{"',
  ],
  [
    "an upgrade without a key",
    "GET /v1/swarm HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
  ],
];

/** The first answer line, or "" when the connection was cut off or stayed silent for a second. */
function send(to: NetConnectOpts, bytes: Uint8Array | string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(to, () => socket.write(bytes));
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on("data", (data) => (answer += data.toString("latin1")));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(answer.split("\r\n")[0]!));
  });
}

/** Opens the swarm channel and sends what no peer would. */
async function sendOnChannel(
  address: string,
  message: string | Uint8Array<ArrayBuffer>,
): Promise<void> {
  const channel = new WebSocket(`ws://${address}/v1/swarm`);
  await new Promise<void>((resolve) => {
    channel.addEventListener("open", () => channel.send(message));
    channel.addEventListener("close", () => resolve());
    channel.addEventListener("error", () => resolve());
    setTimeout(resolve, 500);
  });
  channel.close();
}

test.if(hasDf)("T-32: garbage on every port gets a refusal and harms nobody", async () => {
  const bytes = randomPayload(1_000_000);
  await using source = await CountingSource.start({ bytes });

  await withSwarm({ peerCount: 2 }, async ({ session, supernode, peers }) => {
    const control = Number(supernode.address.split(":")[1]);
    const listen = (await peerStatus(peers[0]!.socket))!.listen!;
    const ports: NetConnectOpts[] = [
      { host: "127.0.0.1", port: control },
      { host: "127.0.0.1", port: control + 1 },
      { host: "127.0.0.1", port: Number(listen.split(":").at(-1)) },
      { path: peers[0]!.socket },
    ];
    for (const port of ports) {
      const answers = await Promise.all(GARBAGE.map(([, garbage]) => send(port, garbage)));
      for (const [i, answer] of answers.entries()) {
        // A refusal, or a connection that was cut off without a word.
        expect({ port, sent: GARBAGE[i]![0], answer }).toMatchObject({
          answer: expect.stringMatching(/^(?:HTTP\/1\.[01] 4\d\d.*)?$/),
        });
      }
    }
    // The runtime's parser answers these by itself (RFC 9110 §15.6.6), once in a while random bytes too.
    for (const port of ports) {
      const answer = await send(port, "GET / HTTP/3.0\r\nHost: a\r\n\r\n");
      expect(answer).toStartWith("HTTP/1.1 505");
    }
    const frames = [
      "",
      "{",
      '{"type":"join"}',
      "null",
      new Uint8Array([1, 2, 3]),
      new Uint8Array(70_000),
      "x".repeat(300_000),
    ];
    for (const frame of frames) await sendOnChannel(supernode.address, frame);

    const outputs = peers.map((_, i) => outputIn(session, `output-${i}`));
    const runs = await Promise.all(
      peers.map((peer, i) => runDf(session, getArgs(source.url, outputs[i]!, peer))),
    );

    expect(runs).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }]);
    expect(await Promise.all(outputs.map(sha256HexOfFile))).toEqual(
      Array(2).fill(sha256Hex(bytes)),
    );
    expect([supernode, ...peers].map(({ child }) => child.exitCode)).toEqual([null, null, null]);
  });
});
