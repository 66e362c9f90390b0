// What a running supernode refuses to ask for others, and what they hear of it.

import { afterEach, expect, test } from "bun:test";
import type { SupernodeOptions } from "../../src/roles/supernode/supernode-options.ts";
import { startBadSource } from "../fixtures/bad-source.ts";
import { scriptedSwarmPeer } from "../fixtures/scripted-swarm-peer.ts";
import { startSentinel } from "../fixtures/sentinel.ts";
import { supernodeFixture } from "../fixtures/supernode-fixture.ts";
import { Cleanups } from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

const everywhere = { listen: { hostname: "0.0.0.0", port: 0 } };

async function setUp(options: Partial<SupernodeOptions>) {
  const supernode = await supernodeFixture(options);
  cleanups.defer(() => supernode.stop());
  const { address } = supernode.current;
  const peer = await scriptedSwarmPeer(address.replace("0.0.0.0", "127.0.0.1"));
  cleanups.defer(() => peer.close());
  /** The answer to a join: "joined", or the refusal's code and words. */
  const join = (url: string) =>
    peer.join(url).then(
      () => ({ code: "joined", text: "" }),
      (failure: Error) => {
        const { code, message, hint } = JSON.parse(failure.message).error;
        return { code, text: `${message} ${hint}` };
      },
    );
  return { supernode, join };
}

test("T-12: a supernode follows no redirect of an allowed source into its own machine", async () => {
  const sentinel = await startSentinel();
  cleanups.defer(() => sentinel.stop());
  const source = await startBadSource((reply) =>
    reply.head(302, { location: `http://0x7f.1:${sentinel.port}/`, "content-length": 0 }),
  );
  cleanups.defer(() => source.stop());
  const originAllow = [`127.0.0.1:${source.port}`];
  const { join } = await setUp({ ...everywhere, originAllow });

  expect((await join(source.url)).code).toBe("denied");
  expect([source.requests.length, sentinel.connections]).toEqual([1, 0]);
});

test("T-12: addresses that no source has are refused before anything is sent, with a way out", async () => {
  const { join } = await setUp(everywhere);

  for (const host of ["169.254.169.254", "[fd00:ec2::254]", "[64:ff9b::7f00:1]", "2130706433"]) {
    const { code, text } = await join(`http://${host}/latest/`);
    expect([host, code]).toEqual([host, "not-shareable"]);
    expect(text).toContain("--origin-allow");
  }
});

test("a supernode asks itself for nothing, even where loopback is allowed", async () => {
  const { join, supernode } = await setUp({ originAllow: ["*"] });
  const { address, pieceAddress } = supernode.current;

  for (const own of [address, pieceAddress, address.replace("127.0.0.1", "localhost")])
    expect((await join(`http://${own}/df`)).code).toBe("not-shareable");
});

test("private sources are refused where the policy says public-only, and no others", async () => {
  const source = await startBadSource((reply) => reply.serve(new Uint8Array(9)));
  cleanups.defer(() => source.stop());
  const { join } = await setUp({ originPolicy: "public-only" });

  expect((await join("http://10.255.255.1/")).code).toBe("not-shareable");
  expect((await join("http://[fd12::1]/")).code).toBe("not-shareable");
  expect((await join(source.url)).code).toBe("joined");
});
