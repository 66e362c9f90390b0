// A supernode that lies: it gives other bytes than a digest names, and says that they are the digest's.

import { afterEach, expect, test } from "bun:test";
import { digestNow, toHex } from "../../../src/engine/bytes/digest.ts";
import { DEFAULT_REGISTRY_RULES } from "../../../src/net/registry/upstream-choice.ts";
import type { PeerMessage } from "../../../src/net/wire/swarm-messages.ts";
import { askRaw, manifestBytes } from "../../fixtures/mirror-fixture.ts";
import { type ScriptedChannel, scriptedSupernode } from "../../net/scripted-supernode.ts";
import { Cleanups, peerFixture, randomBytes, seededContent } from "../peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

/** Nobody listens there: whoever asks the registry gets nothing. */
const REGISTRY = "127.0.0.1:9";

test.each([
  ["blob", "blobs", randomBytes(300_000)],
  ["manifest", "manifests", Buffer.from(manifestBytes({ annotations: { a: "b".repeat(9_000) } }))],
] as const)(
  "T-01: a %s that proves to be another digest's is kept by no host and offered to nobody",
  async (registryKind, folder, right) => {
    const wrong = Buffer.from(right);
    wrong[wrong.length - 9]! ^= 1;
    const sha256 = toHex(digestNow("sha256", right));
    const checksum = `sha256:${sha256}`;
    const path = `/v2/team/app/${folder}/${checksum}`;
    const told: Partial<Record<string, Awaited<ReturnType<typeof seededContent>>>> = {};
    for (const [name, data] of Object.entries({ right, wrong })) {
      told[name] = await seededContent(cleanups, `http://${REGISTRY}${path}`, {
        ...{ data, version: `"${checksum}"`, asked: { checksum, registryKind } },
      });
    }
    let gives = told["wrong"]!;
    const joins: PeerMessage[] = [];
    const liar = scriptedSupernode({
      on: (message: PeerMessage, channel: ScriptedChannel) => {
        if (message.type !== "join") return;
        joins.push(message);
        channel.say({ ...gives.joined(message.request, joins.length), sha256 });
        gives.give(channel, joins.length);
      },
    });
    cleanups.defer(() => liar.stop());
    const registries = { ...DEFAULT_REGISTRY_RULES, defaultRegistry: REGISTRY };
    const proxy = { listen: { hostname: "127.0.0.1", port: 0 }, isDefault: false, registries };
    const host = await peerFixture(cleanups, { supernodes: [liar.address], proxy });
    const url = `http://${host.peer.status().proxy!.listen}${path}`;

    const first = await askRaw(url);

    expect(first.status === 200 && first.isWhole).toBe(false);
    while (host.peer.status().store.contents > 0) await Bun.sleep(10);
    const { contentId } = gives;
    const piece = await fetch(`http://${host.peer.listen}/v1/pieces/${contentId}/0`);
    expect(piece.status).toBe(404);
    const dropped = (): boolean => liar.messages.some((one) => one.type === "drop");
    while (!dropped()) await Bun.sleep(10);

    gives = told["right"]!;
    const second = await askRaw(url);
    expect([second.status, second.isWhole, second.body.equals(right)]).toEqual([200, true, true]);
    expect(joins).toHaveLength(2);
    expect(joins[1]).not.toHaveProperty("known");
    expect((await askRaw(url)).body.equals(right)).toBe(true);
    expect(joins).toHaveLength(2);
  },
  20_000,
);
