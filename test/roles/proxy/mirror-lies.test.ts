// A supernode that lies: it gives other bytes than a digest names, and says that they are the digest's.

import { afterEach, expect, test } from "bun:test";
import { once } from "node:events";
import { connect } from "node:net";
import { digestNow, toHex } from "../../../src/engine/bytes/digest.ts";
import { DEFAULT_REGISTRY_RULES } from "../../../src/net/registry/upstream-choice.ts";
import type { PeerMessage } from "../../../src/net/wire/swarm-messages.ts";
import { askRaw, manifestBytes } from "../../fixtures/mirror-fixture.ts";
import { type ScriptedChannel, scriptedSupernode } from "../../net/scripted-supernode.ts";
import { answerTo } from "./forward-fixture.ts";
import { Cleanups, peerFixture, randomBytes, seededContent } from "../peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

/** Nobody listens there: whoever asks the registry gets nothing. */
const REGISTRY = "127.0.0.1:9";

/** A host before a supernode that gives a digest's own bytes, or others and says that they are the digest's. */
async function liarFixture(
  registryKind: "blob" | "manifest",
  { folder, right }: { folder: string; right: Buffer },
) {
  const wrong = Buffer.from(right);
  wrong[wrong.length - 9]! ^= 1;
  const sha256 = toHex(digestNow("sha256", right));
  const checksum = `sha256:${sha256}`;
  const path = `/v2/team/app/${folder}/${checksum}`;
  const seeded = (data: Buffer) =>
    seededContent(cleanups, `http://${REGISTRY}${path}`, {
      ...{ data, version: `"${checksum}"`, asked: { checksum, registryKind } },
    });
  const told = { right: await seeded(right), wrong: await seeded(wrong) };
  const state = { gives: told.wrong, joins: [] as PeerMessage[] };
  const liar = scriptedSupernode({
    on: (message: PeerMessage, channel: ScriptedChannel) => {
      if (message.type !== "join") return;
      state.joins.push(message);
      const handle = state.joins.length;
      channel.say({ ...state.gives.joined(message.request, handle), sha256 });
      state.gives.give(channel, handle);
    },
  });
  cleanups.defer(() => liar.stop());
  const registries = { ...DEFAULT_REGISTRY_RULES, defaultRegistry: REGISTRY };
  const proxy = { listen: { hostname: "127.0.0.1", port: 0 }, isDefault: false, registries };
  const host = await peerFixture(cleanups, { supernodes: [liar.address], proxy });
  const address = host.peer.status().proxy!.listen;
  return { liar, host, told, state, path, address, url: `http://${address}${path}` };
}

test.each([
  ["blob", "blobs", randomBytes(300_000)],
  ["manifest", "manifests", Buffer.from(manifestBytes({ annotations: { a: "b".repeat(9_000) } }))],
] as const)(
  "T-01: a %s that proves to be another digest's is kept by no host and offered to nobody",
  async (registryKind, folder, right) => {
    const { liar, host, told, state, url } = await liarFixture(registryKind, { folder, right });
    const { joins } = state;

    const first = await askRaw(url);

    expect(first.status === 200 && first.isWhole).toBe(false);
    while (host.peer.status().store.contents > 0) await Bun.sleep(10);
    const { contentId } = told.wrong;
    const piece = await fetch(`http://${host.peer.listen}/v1/pieces/${contentId}/0`);
    expect(piece.status).toBe(404);
    const dropped = (): boolean => liar.messages.some((one) => one.type === "drop");
    while (!dropped()) await Bun.sleep(10);

    state.gives = told.right;
    const second = await askRaw(url);
    expect([second.status, second.isWhole, second.body.equals(right)]).toEqual([200, true, true]);
    expect(joins).toHaveLength(2);
    expect(joins[1]).not.toHaveProperty("known");
    expect((await askRaw(url)).body.equals(right)).toBe(true);
    expect(joins).toHaveLength(2);
  },
  20_000,
);

test("T-01: a client that stalls on wrong bytes keeps nobody from the right ones", async () => {
  const right = randomBytes(12_000_000);
  const { told, state, path, address, url } = await liarFixture("blob", { folder: "blobs", right });
  const port = Number(address.split(":")[1]);
  const stalled = connect(port, "127.0.0.1");
  cleanups.defer(() => void stalled.destroy());
  stalled.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  await once(stalled, "readable");

  expect((await askRaw(url)).isWhole).toBe(false);
  state.gives = told.right;
  const after = await askRaw(url);

  expect([after.isWhole, after.body.equals(right)]).toEqual([true, true]);
}, 20_000);

test("T-35: what failed is told without what the client's URL had before the host", async () => {
  const right = randomBytes(60_000);
  const { host, path, address } = await liarFixture("blob", { folder: "blobs", right });
  const port = Number(address.split(":")[1]);

  await answerTo(port, `GET http://me:secret@${REGISTRY}${path} HTTP/1.1\r\nHost: a\r\n\r\n`);

  expect(host.warnings.join("\n")).toContain(`GET ${path}: `);
  expect(host.warnings.join("\n")).not.toContain("secret");
});
