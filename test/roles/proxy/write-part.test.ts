// What a part's writer is told of its memory, through the port as clients meet it: plain, within TLS that is
// opened there, and behind other answers of one connection.

import { afterEach, expect, test } from "bun:test";
import fc from "fast-check";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import tls from "node:tls";
import { EgressGuard } from "../../../src/net/egress/egress-guard.ts";
import { DEFAULT_EGRESS } from "../../../src/net/egress/egress-policy.ts";
import { Interceptor } from "../../../src/net/proxy/interceptor.ts";
import { startProxyFront } from "../../../src/net/proxy/proxy-front.ts";
import { writePart } from "../../../src/roles/proxy/write-part.ts";
import { certificateAuthority } from "../../fixtures/certificate-authority.ts";
import { Cleanups } from "../peer-fixture.ts";

const KIB = 1 << 10;
const MIB = 1 << 20;

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

/** What lies at an offset of every answer; no two parts of a test look the same. */
function fill(part: Uint8Array, offset: number): Uint8Array {
  for (let i = 0; i < part.length; i++) part[i] = (offset + i) % 251;
  return part;
}

/** A port whose answers are parts of these lengths, each spoilt as soon as its memory is said to be free. */
async function portFixture() {
  const authority = await certificateAuthority();
  const { cert: certificate, key: privateKey } = await authority.issue();
  const leaf = { certificate, privateKey, endsAt: Infinity };
  const state = { lengths: [] as readonly number[], freeCount: 0 };
  const front = await startProxyFront({
    ...{ listen: { hostname: "127.0.0.1", port: 0 }, via: "df-test" },
    access: { credentials: null, allow: null, tunnelPorts: new Set([443]) },
    egress: new EgressGuard({ policy: DEFAULT_EGRESS, connectionsMax: 1, waitingMax: 1 }),
    interception: new Interceptor({ isFor: () => true, issue: () => Promise.resolve(leaf) }),
    upgrade: () => Promise.reject(new Error("nothing is upgraded here")),
    handler: async ({ signal }, response) => {
      const length = state.lengths.reduce((sum, one) => sum + one, 0);
      response.writeHead(200, { "content-length": String(length) });
      let at = 0;
      for (const partLength of state.lengths) {
        const part = fill(new Uint8Array(partLength), at);
        at += partLength;
        if (!(await writePart(response, part, signal))) continue;
        state.freeCount++;
        part.fill(255);
      }
      response.end();
    },
  });
  cleanups.defer(() => front.stop());
  const port = Number(front.address.slice(front.address.lastIndexOf(":") + 1));

  const plain = async (): Promise<Socket> => {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    return socket;
  };
  const opened = async (): Promise<Socket> => {
    const socket = await plain();
    socket.write("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n");
    await once(socket, "data");
    const secure = tls.connect({ socket, ca: authority.ca, servername: "localhost" });
    await once(secure, "secureConnect");
    return secure;
  };
  return { state, plain, opened };
}

/** Asks so often at once, looks away until the port can write no more, and takes all answers' bodies. */
async function bodiesOf(socket: Socket, { count, length }: { count: number; length: number }) {
  cleanups.defer(() => void socket.destroy());
  socket.write("GET / HTTP/1.1\r\nHost: localhost:443\r\n\r\n".repeat(count));
  await once(socket, "readable");
  await Bun.sleep(20);
  const bodies: Buffer[] = [];
  let rest = Buffer.alloc(0);
  for await (const data of socket) {
    rest = Buffer.concat([rest, data as Buffer]);
    for (let end = rest.indexOf("\r\n\r\n") + 4; end >= 4; end = rest.indexOf("\r\n\r\n") + 4) {
      if (rest.length < end + length) break;
      bodies.push(rest.subarray(end, end + length));
      rest = rest.subarray(end + length);
    }
    if (bodies.length === count) break;
  }
  return bodies;
}

const partLengths = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 300 * KIB }), fc.constantFrom(16 * KIB, 64 * KIB, 128 * KIB)),
  { minLength: 1, maxLength: 100 },
);

test.each(["plain", "opened"] as const)(
  "memory that is said to be free holds nothing that a slow client still gets: %s",
  async (kind) => {
    const port = await portFixture();

    await fc.assert(
      fc.asyncProperty(partLengths, fc.integer({ min: 1, max: 3 }), async (lengths, count) => {
        const length = lengths.reduce((sum, one) => sum + one, 0);
        port.state.lengths = lengths;
        const bodies = await bodiesOf(await port[kind](), { count, length });

        const expected = fill(new Uint8Array(length), 0);
        expect(bodies.map((body) => body.equals(expected))).toEqual(Array(count).fill(true));
      }),
      { numRuns: 15 },
    );
  },
  60_000,
);

test.each(["plain", "opened"] as const)(
  "a part's memory is free once the client has room for the next one: %s",
  async (kind) => {
    const port = await portFixture();
    const lengths = Array.from({ length: 100 }, () => 128 * KIB);
    port.state.lengths = lengths;

    const [body] = await bodiesOf(await port[kind](), { count: 1, length: 12.5 * MIB });

    expect(body!.length).toBe(12.5 * MIB);
    expect(port.state.freeCount).toBe(lengths.length);
  },
);
