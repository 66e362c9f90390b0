// The peer's end of the channel against a supernode that does what the test says.

import { afterEach, expect, spyOn, test } from "bun:test";
import { plainRow } from "../../src/engine/core/manifest.ts";
import { SwarmClient } from "../../src/net/swarm/swarm-client.ts";
import type { SwarmMember } from "../../src/net/swarm/swarm-member.ts";
import type { Joined, SupernodeMessage } from "../../src/net/wire/swarm-messages.ts";
import type { TaskRequest } from "../../src/net/wire/task.ts";
import { scriptedSupernode, SUPERNODE_HELLO, type SupernodeScript } from "./scripted-supernode.ts";

const CONTENT = "ef".repeat(32);
const TASK: TaskRequest = {
  url: "http://a.test/x",
  headers: {},
  tag: "",
  filterQuery: [],
  checksum: "",
};

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

function joinedMessage(request: number, handle: number): Joined {
  return {
    type: "joined",
    request,
    handle,
    contentId: CONTENT,
    taskId: CONTENT,
    length: 10,
    pieceLength: 65_536,
    validator: null,
    lastModified: null,
    md5: null,
    sha256: null,
    swarmSize: 1,
  };
}

function supernodeFixture(script: SupernodeScript = {}) {
  const supernode = scriptedSupernode(script);
  cleanups.push(() => supernode.stop());
  return supernode;
}

function clientFixture(address: string) {
  let opened = 0;
  const client = new SwarmClient({
    address,
    hello: () => ({
      version: "1.2.3",
      capabilities: [],
      publicKey: "",
      hostId: "bb".repeat(32),
      hostname: "host",
      pieceAddress: "127.0.0.1:65002",
      uploadSlots: 3,
      labels: {},
    }),
    onOpened: () => opened++,
  });
  cleanups.push(() => client.stop());
  return { client, openedCount: () => opened };
}

/** A member that writes down what it hears. */
function memberFixture() {
  const heard: string[] = [];
  const waiters: (() => void)[] = [];
  const note = (name: string) => (detail?: unknown) => {
    heard.push(detail === undefined ? name : `${name} ${JSON.stringify(detail)}`);
    for (const wake of waiters.splice(0)) wake();
  };
  const member: SwarmMember = {
    joined: ({ handle }) => note("joined")(handle),
    moved: note("moved"),
    refused: ({ code }) => note("refused")(code),
    rows: (rows) => note("rows")(rows.map(({ piece }) => piece)),
    signed: (groups) => note("signed")(groups.map(({ group }) => group)),
    assigned: (assignments) =>
      note("assigned")(assignments.map(({ piece, address }) => [piece, address])),
    closed: ({ length }) => note("closed")(length),
    ticket: note("ticket"),
    failed: ({ code }) => note("failed")(code),
    neighbours: (addresses, swarmSize) => note("neighbours")([addresses, swarmSize]),
    channelLost: note("lost"),
    channelSilent: note("silent"),
    channelOpened: note("opened"),
  };
  const hears = async (count: number) => {
    while (heard.length < count) await new Promise<void>((resolve) => waiters.push(resolve));
    return heard;
  };
  return { member, heard, hears };
}

test("swarm client says hello first and opens on the supernode's hello", async () => {
  const supernode = supernodeFixture();
  const { client, openedCount } = clientFixture(supernode.address);

  expect(await client.reach()).toBe(true);

  const hello = await supernode.until(() => supernode.messages[0]);
  expect(hello).toMatchObject({
    type: "hello",
    hostId: "bb".repeat(32),
    pieceAddress: "127.0.0.1:65002",
  });
  expect(openedCount()).toBe(1);
});

test("swarm client hands rows, assignments, closed and failed to the member they are for", async () => {
  const digest = new Uint8Array(32);
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      channel.say(joinedMessage(message.request, message.request + 6));
      const handle = message.request + 6;
      const row = plainRow(10, digest);
      channel.raw(channel.frames.rows(handle, [{ piece: 0, row }]));
      channel.raw(
        channel.frames.assign(handle, [{ piece: 0, count: 1, parent: 4, address: "p:1" }]),
      );
      channel.raw(channel.frames.rows(999, [{ piece: 5, row }]));
      channel.say({ type: "closed", handle, length: 10, md5: "0".repeat(32), sha256: null });
      channel.say({ type: "failed", handle, error: { code: "source-changed", message: "x" } });
    },
  });
  const { client } = clientFixture(supernode.address);
  const { member, hears } = memberFixture();
  await client.reach();

  client.join(member, TASK);

  expect(await hears(5)).toEqual([
    "joined 7",
    "rows [0]",
    'assigned [[0,"p:1"]]',
    "closed 10",
    'failed "source-changed"',
  ]);
});

test("swarm client passes on moved and refused, and sends pulls under the handle it was given", async () => {
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      const { request } = message;
      if (request === 1) channel.say({ type: "moved", request, address: "b:8002" });
      if (request === 2)
        channel.say({
          type: "refused",
          request,
          error: { code: "source-not-found", message: "404" },
        });
      if (request === 3) channel.say(joinedMessage(request, 42));
    },
  });
  const { client } = clientFixture(supernode.address);
  const { member, hears } = memberFixture();
  await client.reach();

  client.join(member, TASK);
  client.join(member, TASK);
  client.join(member, TASK, { known: { contentId: CONTENT, have: "AQ==" }, seedsOnly: true });
  await hears(3);
  client.pull(member, { slots: 4, reports: [], overdue: [7] });
  client.leave(member);
  client.pull(member, { slots: 4, reports: [], overdue: [] });

  await supernode.until(() => supernode.ofType("leave")[0]);
  expect(supernode.pulls).toEqual([{ handle: 42, pull: { slots: 4, reports: [], overdue: [7] } }]);
  const [plain, , last] = supernode.ofType("join");
  expect(last!.known).toEqual({ contentId: CONTENT, have: "AQ==" });
  expect([plain!.from, last!.from]).toEqual([undefined, "supernode"]);
});

test("swarm client leaves a content whose answer comes after its member left", async () => {
  const answers: (() => void)[] = [];
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type === "join")
        answers.push(() => channel.say(joinedMessage(message.request, 3)));
    },
  });
  const { client } = clientFixture(supernode.address);
  const { member, heard } = memberFixture();
  await client.reach();

  client.join(member, TASK);
  await supernode.until(() => answers[0]);
  client.leave(member);
  answers[0]!();

  expect(await supernode.until(() => supernode.ofType("leave")[0])).toEqual({
    type: "leave",
    handle: 3,
  });
  expect(heard).toEqual([]);
});

test("swarm client comes back after the channel was lost and tells its members both", async () => {
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type === "drop") channel.close();
    },
  });
  const { client, openedCount } = clientFixture(supernode.address);
  const { member, hears } = memberFixture();
  await client.reach();
  client.join(member, TASK);

  client.drop(CONTENT);

  expect(await hears(2)).toEqual(["lost", "opened"]);
  await supernode.until(() => supernode.ofType("hello").length === 2);
  expect(openedCount()).toBe(2);
});

test("peers of a large swarm that lost their supernode do not come back before their turn", async () => {
  const random = spyOn(Math, "random").mockReturnValue(0.5);
  cleanups.push(() => random.mockRestore());
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      channel.say({ ...joinedMessage(message.request, 1), swarmSize: 20_000 });
      channel.close();
    },
  });
  const { client } = clientFixture(supernode.address);
  const { member, hears } = memberFixture();
  await client.reach();
  client.join(member, TASK);
  expect(await hears(2)).toEqual(["joined 1", "lost"]);

  // Ten seconds for twenty thousand: this one's turn is in five.
  expect(await client.reach()).toBe(false);
  expect(supernode.connections).toBe(1);
});

test("swarm client passes on whom the supernode named as neighbours", async () => {
  const addresses = ["10.0.0.1:65002", "10.0.0.2:65002"];
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      channel.say(joinedMessage(message.request, 7));
      channel.say({ type: "neighbours", handle: 7, addresses, swarmSize: 40 });
      channel.say({ type: "neighbours", handle: 8, addresses: [], swarmSize: 1 });
    },
  });
  const { client } = clientFixture(supernode.address);
  const { member, hears } = memberFixture();
  await client.reach();
  client.join(member, TASK);

  expect(await hears(2)).toEqual(["joined 7", `neighbours ${JSON.stringify([addresses, 40])}`]);
  expect(client.swarmSize).toBe(40);
});

test("swarm client knows from the hello how many lose the supernode with it", async () => {
  const greeting = JSON.stringify({ ...SUPERNODE_HELLO, peerCount: 1_000 });
  const supernode = supernodeFixture({ greeting });
  const { client } = clientFixture(supernode.address);

  await client.reach();

  expect(client.swarmSize).toBe(1_000);
});

test("swarm client reaches nothing where nobody listens, and a supernode that starts later", async () => {
  const first = supernodeFixture();
  await first.stop();
  const { client } = clientFixture(first.address);

  expect(await client.reach()).toBe(false);
  supernodeFixture({ port: first.port });
  expect(await client.reach()).toBe(true);
});

test.each([
  ["no JSON", "{"],
  [
    "a hello of another protocol",
    JSON.stringify({ ...SUPERNODE_HELLO, protocol: { min: 2, max: 9 } }),
  ],
  [
    "another message before hello",
    JSON.stringify({ type: "moved", request: 1, address: "a:1" } satisfies SupernodeMessage),
  ],
  ["a malformed message", JSON.stringify({ type: "hello" })],
])("swarm client gives up a supernode that greets with %s", async (_, greeting) => {
  const supernode = supernodeFixture({ greeting });
  const { client } = clientFixture(supernode.address);

  expect(await client.reach()).toBe(false);
});

test("swarm client ignores a message type of a later version and drops a channel with a broken frame", async () => {
  const supernode = supernodeFixture({
    on(message, channel) {
      if (message.type !== "join") return;
      channel.raw(JSON.stringify({ type: "from-the-future", at: 1 }));
      channel.say(joinedMessage(message.request, 1));
      channel.raw(new Uint8Array([2, 0, 0]));
    },
  });
  const { client } = clientFixture(supernode.address);
  const { member, hears } = memberFixture();
  await client.reach();

  client.join(member, TASK);

  expect((await hears(2)).slice(0, 2)).toEqual(["joined 1", "lost"]);
});

test("swarm client cuts what it holds into messages that a supernode takes", async () => {
  const supernode = supernodeFixture();
  const { client } = clientFixture(supernode.address);
  await client.reach();

  client.hold(
    Array.from({ length: 2_000 }, () => ({ contentId: CONTENT, have: "AAAA".repeat(100) })),
  );

  const holds = () => supernode.ofType("hold");
  const count = () => holds().reduce((sum, { contents }) => sum + contents.length, 0);
  await supernode.until(() => count() === 2_000);
  for (const message of holds()) expect(JSON.stringify(message).length).toBeLessThan(256 << 10);
});
