// What a peer reads from sources for others, and what it leaves to its users' own commands.

import { afterEach, expect, test } from "bun:test";
import { runGet } from "./get-process.ts";
import { Session } from "../../bench/harness/session.ts";
import {
  Cleanups,
  eventOf,
  eventsOf,
  peerFixture,
  randomBytes,
  sourceFixture,
} from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

const never = new AbortController().signal;
const everywhere = { listen: { hostname: "0.0.0.0", port: 0 } };

test("T-12: a peer that others reach leaves loopback to its user's own command", async () => {
  const data = randomBytes(100_000);
  const source = sourceFixture(cleanups, data);
  const { client, peer } = await peerFixture(cleanups, everywhere);

  const read = eventsOf(client.download({ url: source.url }, never));
  await expect(read).rejects.toMatchObject({ code: "not-shareable" });
  expect(source.gets).toBe(0);
  const metadata = eventsOf(client.download({ url: "http://169.254.169.254/latest/" }, never));
  await expect(metadata).rejects.toMatchObject({ code: "not-shareable" });

  // wget would read it, and so does df get: in the user's own process.
  await Session.run("get", async (session) => {
    const args = [source.url, "-o", "output", "--socket", peer.socketPath];
    const { exitCode, stderr } = await runGet(session, args);
    expect([exitCode, stderr.includes("read from the source")]).toEqual([0, true]);
    expect(await Bun.file(`${session.folder}/output`).bytes()).toEqual(new Uint8Array(data));
  });
});

test("a peer that only this machine reaches reads loopback, but not its own ports", async () => {
  const source = sourceFixture(cleanups, randomBytes(1_000));
  const { client, peer } = await peerFixture(cleanups);

  const read = await eventsOf(client.download({ url: source.url }, never));
  expect(eventOf(read, "done").length).toBe(1_000);
  const own = eventsOf(client.download({ url: `http://${peer.listen}/v1/x` }, never));
  await expect(own).rejects.toMatchObject({ code: "not-shareable" });

  // Nor those that the rest of its process opened.
  const other = sourceFixture(cleanups, randomBytes(1_000));
  const otherListeners = [{ hostname: "127.0.0.1", port: Number(new URL(other.url).port) }];
  const beside = await peerFixture(cleanups, { otherListeners });
  const its = eventsOf(beside.client.download({ url: other.url }, never));
  await expect(its).rejects.toMatchObject({ code: "not-shareable" });
  expect(other.gets).toBe(0);
});
