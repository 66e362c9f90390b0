// A supernode, or whoever answers in its place, must not send a host's requests elsewhere: the host would
// ask services of its own machine and network in another one's name.

import { afterEach, expect, test } from "bun:test";
import { askHolder } from "../../src/net/swarm/ask-holder.ts";
import { taskOf } from "../fixtures/scripted-swarm-peer.ts";
import { startSentinel } from "../fixtures/sentinel.ts";
import { scriptedSupernode } from "../net/scripted-supernode.ts";
import { Cleanups, peerFixture } from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

test.each([301, 302, 303, 307, 308])(
  "T-12: a host follows no redirect %d of a supernode",
  (status) => redirected(status),
);

async function redirected(status: number): Promise<void> {
  const sentinel = await startSentinel();
  cleanups.defer(() => sentinel.stop());
  const location = `http://127.0.0.1:${sentinel.port}/admin`;
  const supernode = scriptedSupernode({
    answer: () => new Response(null, { status, headers: { location } }),
  });
  cleanups.defer(() => supernode.stop());
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.address] });
  const taskId = "ab".repeat(32);
  const endpoint = { address: supernode.address, proof: null };

  const answer = client.freshness(taskOf("http://files.example/file"));
  await expect(answer).rejects.toMatchObject({ code: "unavailable" });
  const signal = new AbortController().signal;
  const held = await askHolder(endpoint, { taskId, credential: "c" }, signal);

  expect(held).toBeNull();
  expect(sentinel.connections).toBe(0);
}
