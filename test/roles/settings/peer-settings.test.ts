// What a peer does, while it runs, with the settings that its supernode tells it.

import { afterEach, expect, test } from "bun:test";
import type { Settings } from "../../../src/net/wire/fleet-settings.ts";
import type { StartPeerOptions } from "../../../src/roles/peer/start-peer.ts";
import { scriptedSupernode, type ScriptedChannel } from "../../net/scripted-supernode.ts";
import {
  Cleanups,
  eventOf,
  eventsOf,
  peerFixture,
  randomBytes,
  seededContent,
} from "../peer-fixture.ts";

const URL_A = "http://files.test/a";
const LENGTH = 16 << 20;
/** At it LENGTH takes four minutes: a test that ends in time has seen another one. */
const CRAWL = 64 << 10;
const never = new AbortController().signal;
const cleanups = new Cleanups();
afterEach(() => cleanups.run());

/** What of the fleet's settings counts: nothing was given to the machine itself. */
const NOTHING_GIVEN: Partial<StartPeerOptions> = {
  downloadRateBytesPerSec: undefined,
  uploadRateBytesPerSec: undefined,
  diskRateBytesPerSec: undefined,
  quotaBytes: undefined,
  uploadSlots: undefined,
};

/** A supernode that says `first` right after hello and gives all of a content to who joins. */
async function fleetFixture(first: Settings, overrides: Partial<StartPeerOptions> = {}) {
  const content = await seededContent(cleanups, URL_A, { data: randomBytes(LENGTH) });
  let channel: ScriptedChannel | undefined;
  let [version, settings] = [1, first];
  const tell = (): void => channel!.say({ type: "settings", version, settings });
  const supernode = scriptedSupernode({
    on(message, on) {
      channel = on;
      if (message.type === "hello") tell();
      content.giveAll(message, on);
    },
  });
  cleanups.defer(() => supernode.stop());
  const peer = await peerFixture(cleanups, {
    ...NOTHING_GIVEN,
    supernodes: [supernode.address],
    ...overrides,
  });
  await supernode.until(() => supernode.ofType("hello").length > 0);
  const say = (next: Settings): void => {
    [version, settings] = [version + 1, next];
    tell();
  };
  return { supernode, say, ...peer };
}

test("a download that crawls under the fleet's rate runs when the rate is lifted", async () => {
  const { client, say } = await fleetFixture({ downloadRate: CRAWL });

  const events: string[] = [];
  for await (const event of client.download({ url: URL_A }, never)) {
    events.push(event.event);
    if (event.event === "progress" && event.doneBytes > 0 && event.doneBytes < LENGTH) say({});
  }

  expect(events.at(-1)).toBe("done");
}, 60_000);

test("a rate given to the machine itself is not the fleet's to change", async () => {
  const { client } = await fleetFixture(
    { downloadRate: CRAWL },
    { downloadRateBytesPerSec: 1 << 30 },
  );

  const events = await eventsOf(client.download({ url: URL_A }, never));

  expect(eventOf(events, "done").length).toBe(LENGTH);
}, 60_000);

test("a source that the fleet denies is refused by name, and brought once it is not", async () => {
  const { client, say, supernode } = await fleetFixture({ deny: ["files.test"] });
  const bring = () => eventsOf(client.download({ url: URL_A }, never));
  // The peer has heard what came with the hello when it answers what came after it.
  await supernode.until(() => supernode.ofType("hello").length > 0);

  const refused = bring();

  await expect(refused).rejects.toMatchObject({ code: "denied" });
  expect(supernode.ofType("join")).toEqual([]);

  say({});
  let events = await bring().catch(() => null);
  while (events === null) events = await bring().catch(() => null);
  expect(eventOf(events, "done").length).toBe(LENGTH);
}, 60_000);

test("changed upload slots are told in a new hello, and none means no piece address", async () => {
  const { supernode, say } = await fleetFixture({});

  say({ uploadSlots: 7 });
  const more = await supernode.until(() =>
    supernode.ofType("hello").find(({ uploadSlots }) => uploadSlots === 7),
  );
  say({ uploadSlots: 0 });
  const none = await supernode.until(() =>
    supernode.ofType("hello").find(({ uploadSlots }) => uploadSlots === 0),
  );

  expect(more.pieceAddress).not.toBeNull();
  expect(none.pieceAddress).toBeNull();
}, 60_000);
