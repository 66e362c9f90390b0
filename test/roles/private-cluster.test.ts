// Private contents in a cluster: members hand a requester's credentials on, prove him as well, and read
// the source once between them.

import { expect, test } from "bun:test";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import { splitRequest } from "../../src/net/task-request.ts";
import type { DownloadRequest } from "../../src/net/wire/local-api.ts";
import { fleetFixture, type PeerOfFleet } from "../fixtures/fleet-fixture.ts";
import { guardedSource, type GuardedSource } from "../fixtures/guarded-source.ts";
import { bytesOf, eventOf, eventsOf, randomBytes } from "./peer-fixture.ts";

function requestAs(source: GuardedSource, headers: Record<string, string>): DownloadRequest {
  return { ...splitRequest({ url: source.url, headers }), noOrigin: true };
}

async function get({ client }: PeerOfFleet, request: DownloadRequest): Promise<Buffer> {
  const events = await eventsOf(client.download(request, AbortSignal.timeout(60_000)));
  const { contentId, access } = eventOf(events, "content");
  const { length } = eventOf(events, "done");
  return bytesOf(client, contentId, length, AbortSignal.timeout(60_000), access);
}

test(
  "a private content is read once between two supernodes, which both prove who asks",
  () =>
    Session.run("private-cluster", async (session) => {
      const fleet = await fleetFixture(session);
      const source = await guardedSource(randomBytes(6 << 20));
      session.defer(() => source.stop());
      source.chunkDelayMs = 10;
      const supernodes = [await fleet.supernode("default"), await fleet.supernode("default")];
      const users = ["a", "b", "c", "d"];
      for (const user of users) source.allowed.add(user);
      const peers = await Promise.all(users.map(() => fleet.peer()));
      await waitUntil("all know both", async () =>
        peers.every((peer) => peer.supernodes().length === 2),
      );

      const got = await Promise.all(
        peers.map((peer, i) => get(peer, requestAs(source, { Authorization: users[i]! }))),
      );
      const contentsOf = (one: (typeof supernodes)[number]) => one.running.status().contents;
      await waitUntil("the member has it too", async () =>
        supernodes.every((one) => contentsOf(one)[0]?.state === "complete"),
      );

      expect(got.every((bytes) => bytes.equals(source.bytes))).toBe(true);
      expect(source.bodyBytes).toBe(source.bytes.length);
      // Each user once; the member that serves as one more seed proves itself as one of them.
      expect(source.proofs.length).toBeLessThanOrEqual(users.length + 1);

      for (const one of supernodes) {
        await one.stop();
        const denied = get(peers[0]!, requestAs(source, { Authorization: "nobody" }));
        await expect(denied).rejects.toThrow();
        if (one === supernodes[0]) {
          const again = await get(peers[1]!, requestAs(source, { Authorization: "b" }));
          expect(again.equals(source.bytes)).toBe(true);
        }
      }
      expect(source.bodyBytes).toBe(source.bytes.length);
    }),
  120_000,
);

test(
  "a private task whose ID only supernodes can make is moved to its owner, and found there again",
  () =>
    Session.run("private-cluster", async (session) => {
      const fleet = await fleetFixture(session);
      const source = await guardedSource(randomBytes(300_000));
      session.defer(() => source.stop());
      source.admits = () => true;
      await fleet.supernode("default");
      await fleet.supernode("default");
      const peers = [await fleet.peer(), await fleet.peer()];
      await waitUntil("all know both", async () =>
        peers.every((peer) => peer.supernodes().length === 2),
      );

      // The header may choose the bytes, so a keyed digest of it is part of the ID.
      for (const mode of ["one", "two", "three", "four"]) {
        for (const peer of peers) {
          const bytes = await get(peer, requestAs(source, { "X-Mode": mode }));
          expect(bytes.equals(source.bytes)).toBe(true);
        }
      }

      expect(source.reads).toBe(4);
    }),
  120_000,
);
