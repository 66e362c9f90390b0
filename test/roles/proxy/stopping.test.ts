// A peer that is told to stop while an engine reads a blob of it.

import { afterEach, expect, test } from "bun:test";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { waitUntil } from "../../../bench/harness/session.ts";
import { mirrorFixture } from "../../fixtures/mirror-fixture.ts";
import { withMirrorProcess } from "../../fixtures/mirror-process.ts";
import { Cleanups, randomBytes } from "../peer-fixture.ts";

const BLOB = randomBytes(32 << 20);

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

async function open(mirror: string): Promise<Socket> {
  const [host, port] = mirror.split(":") as [string, string];
  const socket = connect({ host, port: Number(port) });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** An engine that read the first bytes of a blob and no more yet. */
async function slowReader(mirror: string, digest: string) {
  const socket = await open(mirror);
  socket.write(`GET /v2/team/app/blobs/${digest} HTTP/1.1\r\nHost: ${mirror}\r\n\r\n`);
  const parts = (await once(socket, "data")) as [Buffer];
  socket.pause();
  return {
    leave: () => socket.destroy(),
    async body(): Promise<Buffer> {
      socket.on("data", (part: Buffer) => parts.push(part));
      socket.on("end", () => socket.end());
      socket.resume();
      await once(socket, "close");
      const answer = Buffer.concat(parts);
      return answer.subarray(answer.indexOf("\r\n\r\n") + 4);
    },
  };
}

interface ReadPeer {
  child: Bun.Subprocess;
  mirror: string;
  reader: Awaited<ReturnType<typeof slowReader>>;
}

/** A peer of which an engine reads slowly, in a process of its own. */
function withReadPeer(work: (peer: ReadPeer) => Promise<void>): Promise<void> {
  return withMirrorProcess(async ({ session, child, registry, mirror }) => {
    const reader = await slowReader(mirror, registry.add(BLOB));
    session.defer(() => void reader.leave());
    await work({ child, mirror, reader });
  });
}

function untilRefused(mirror: string): Promise<void> {
  return waitUntil("refuse connections", async () => {
    const socket = await open(mirror).catch(() => null);
    socket?.destroy();
    return socket === null;
  });
}

test("an engine that reads slowly gets all of a blob although the peer is told to stop meanwhile", async () => {
  await withReadPeer(async ({ child, mirror, reader }) => {
    child.kill("SIGTERM");
    await untilRefused(mirror);
    const body = await reader.body();
    const exitCode = await child.exited;

    expect(body.equals(BLOB)).toBe(true);
    expect(exitCode).toBe(0);
  });
}, 60_000);

test("a second signal does not wait for an engine that reads", async () => {
  await withReadPeer(async ({ child, mirror }) => {
    child.kill("SIGTERM");
    await untilRefused(mirror);
    child.kill("SIGTERM");

    expect(await child.exited).toBe(143);
  });
}, 60_000);

test("an engine that stops reading is waited for no longer than the peer was told", async () => {
  const warnings: string[] = [];
  const { registry, mirror } = await mirrorFixture(cleanups, {
    hasSupernode: false,
    peer: { onWarning: (message) => void warnings.push(message) },
  });
  const reader = await slowReader(mirror.address, registry.add(BLOB));
  cleanups.defer(() => void reader.leave());

  await mirror.stop(50);

  expect(warnings.slice(0, 2)).toEqual([
    "engines get to the end of what they read, 1 connections, 0.05 s at most",
    "broke off 1 connections of engines",
  ]);
});
