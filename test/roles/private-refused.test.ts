// Where private contents cannot be shared safely they are not shared: the peer says so, and nobody but the
// user's own command asks the source.

import { afterEach, expect, test } from "bun:test";
import { splitRequest } from "../../src/net/task-request.ts";
import type { DownloadRequest } from "../../src/net/wire/local-api.ts";
import { guardedSource } from "../fixtures/guarded-source.ts";
import { supernodeFixture } from "../fixtures/supernode-fixture.ts";
import { Cleanups, eventsOf, peerFixture, randomBytes } from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

async function source() {
  const guarded = await guardedSource(randomBytes(100_000));
  cleanups.defer(() => guarded.stop());
  guarded.allowed.add("a");
  return guarded;
}

const asA = (url: string): DownloadRequest =>
  splitRequest({ url, headers: { Authorization: "a" } });

test("a supernode without a fleet shares nothing private, and does not ask the source about it", async () => {
  const { url, proofs, readers } = await source();
  const supernode = await supernodeFixture();
  cleanups.defer(() => supernode.stop());
  const { client } = await peerFixture(cleanups, { supernodes: [supernode.current.address] });

  const asked = [asA(url), { url, isSealed: true }];
  const got = await Promise.allSettled(
    asked.map((one) => eventsOf(client.download(one, AbortSignal.timeout(60_000)))),
  );

  const refused = { status: "rejected", reason: { code: "not-shareable" } };
  expect(got).toMatchObject([refused, refused]);
  expect([...proofs, ...readers]).toEqual([]);
});

test("without a supernode a peer brings nothing private: the user reads it himself", async () => {
  const { url, proofs, readers } = await source();
  const { client } = await peerFixture(cleanups);

  const got = eventsOf(client.download(asA(url), AbortSignal.timeout(60_000)));

  await expect(got).rejects.toMatchObject({ code: "not-shareable" });
  expect([...proofs, ...readers]).toEqual([]);
});

test("T-05: a peer refuses credentials that are not of the task's own URL", async () => {
  const { url } = await source();
  const { client } = await peerFixture(cleanups);
  const lie = { ...asA(url), url: "http://files.example/secret" };

  const got = eventsOf(client.download(lie, AbortSignal.timeout(60_000)));

  await expect(got).rejects.toMatchObject({ code: "usage" });
});
