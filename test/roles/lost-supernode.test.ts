// A supernode of a fleet whose disk is lost: what its peers hold is brought from them, under the rows
// that it signed before, and the source is asked for headers alone.

import { expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { CountingSource, randomPayload } from "../../bench/harness/counting-source.ts";
import { freePortPair } from "../../bench/harness/free-port.ts";
import { Session } from "../../bench/harness/session.ts";
import { fleetFixture, type PeerOfFleet } from "../fixtures/fleet-fixture.ts";
import { bytesOf, eventOf, eventsOf } from "./peer-fixture.ts";

const never = new AbortController().signal;
const LENGTH = 5_000_001;

/** What the store keeps beside the machine's identity and its membership. */
export function wipeStore(dataDir: string): void {
  for (const name of ["contents", "store.sqlite", "store.sqlite-wal", "store.sqlite-shm"])
    rmSync(join(dataDir, name), { recursive: true, force: true });
  rmSync(join(dataDir, "store.sqlite-commits"), { force: true });
}

async function bring({ client }: PeerOfFleet, url: string) {
  const events = await eventsOf(client.download({ url, noOrigin: true }, never));
  return { events, done: eventOf(events, "done") };
}

test("a supernode that lost its data has it again from its peers, and reads no byte of the source", async () => {
  await Session.run("lost", async (session) => {
    const bytes = randomPayload(LENGTH);
    await using source = await CountingSource.start({ bytes });
    const fleet = await fleetFixture(session);
    const listen = { hostname: "127.0.0.1", port: await freePortPair() };
    const supernode = await fleet.supernode("default", { listen });
    const peers = await Promise.all([1, 2, 3].map(() => fleet.peer()));
    for (const peer of peers) expect((await bring(peer, source.url)).done.length).toBe(LENGTH);
    expect(source.bodyBytes).toBe(LENGTH);

    await supernode.stop();
    wipeStore(supernode.dataDir);
    const { dataDir } = supernode;
    const again = await fleet.supernode("default", { listen, dataDir });
    const late = await fleet.peer();
    const { events, done } = await bring(late, source.url);

    expect(done.md5).toBe(new Bun.CryptoHasher("md5").update(bytes).digest("hex"));
    const contentId = eventOf(events, "content").contentId;
    expect((await bytesOf(late.client, contentId, LENGTH)).equals(bytes)).toBe(true);
    expect(source.bodyBytes).toBe(LENGTH);
    const status = again.running.status();
    expect(status.sourceReads).toBe(0);
    expect(again.warnings).toEqual([]);
  });
}, 60_000);
