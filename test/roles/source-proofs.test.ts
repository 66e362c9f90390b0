// Who is proven at the source, how often it is asked, and what is remembered of it.

import { afterEach, expect, test } from "bun:test";
import { egressFixture } from "../fixtures/egress-fixture.ts";
import { SourceProofs } from "../../src/roles/supernode/source-proofs.ts";
import { guardedSource, type GuardedSource } from "../fixtures/guarded-source.ts";
import { Cleanups } from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

async function fixture(): Promise<{ source: GuardedSource; proofs: SourceProofs }> {
  const source = await guardedSource(new Uint8Array(1_000));
  const stopped = new AbortController();
  cleanups.defer(() => source.stop());
  cleanups.defer(() => stopped.abort());
  return { source, proofs: new SourceProofs({ egress: egressFixture(), signal: stopped.signal }) };
}

const as = (source: GuardedSource, user: string) => {
  return { url: source.url, headers: { authorization: user } };
};

test("T-07: a hundred requesters with one credential are one proof, which is remembered", async () => {
  const { source, proofs } = await fixture();
  source.allowed.add("a");

  const all = Array.from({ length: 100 }, () => proofs.prove(as(source, "a")));
  await Promise.all(all);
  const later = await proofs.prove(as(source, "a"));

  expect(source.proofs).toEqual(["a"]);
  expect(later.version).toMatchObject({ validator: '"v1"', length: 1_000 });
  expect(source.bodyBytes).toBe(0);
});

test("a hundred requesters with credentials of their own are a hundred proofs, at most 32 at once", async () => {
  const { source, proofs } = await fixture();
  const users = Array.from({ length: 100 }, (_, i) => `user-${i}`);
  for (const user of users) source.allowed.add(user);
  const gate = Promise.withResolvers<void>();
  source.proofGate = gate.promise;

  const all = users.map((user) => proofs.prove(as(source, user)));
  while (source.proofs.length < 31) await Bun.sleep(5);
  const begunTogether = source.proofs.length;
  gate.resolve();
  await Promise.all(all);

  expect(begunTogether).toBeLessThanOrEqual(32);
  expect(source.inFlightMax).toBeLessThanOrEqual(32);
  expect(source.proofs.toSorted()).toEqual(users.toSorted());
});

test("no source is asked for more than 200 proofs a second", async () => {
  const { source, proofs } = await fixture();
  const users = Array.from({ length: 150 }, (_, i) => `user-${i}`);
  for (const user of users) source.allowed.add(user);
  const startedMs = performance.now();

  await Promise.all(users.map((user) => proofs.prove(as(source, user))));

  // 32 may be saved up; the other 118 take their time, however slow or fast this machine is.
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual((118 / 200) * 1_000);
});

test("who wants a fresher word has the source asked again", async () => {
  const { source, proofs } = await fixture();
  source.allowed.add("a");
  await proofs.prove(as(source, "a"));

  source.etag = '"v2"';
  const kept = await proofs.prove(as(source, "a"), 30_000);
  const fresh = await proofs.prove(as(source, "a"), 0);

  expect([kept.version.validator, fresh.version.validator]).toEqual(['"v1"', '"v2"']);
});

test("a refusal is told to who asked and to nobody else, with the source's status, and never kept", async () => {
  const { source, proofs } = await fixture();
  source.allowed.add("a");

  const refused = proofs.prove(as(source, "b"));
  await expect(refused).rejects.toMatchObject({
    code: "source-forbidden",
    refusal: { status: 403 },
  });
  await proofs.prove(as(source, "a"));
  source.allowed.add("b");
  await proofs.prove(as(source, "b"));

  expect(source.proofs).toEqual(["b", "a", "b"]);
});

test("what was proven is forgotten when the source refuses its bearer later", async () => {
  const { source, proofs } = await fixture();
  source.allowed.add("a");
  await proofs.prove(as(source, "a"));
  source.allowed.delete("a");

  proofs.forget(as(source, "a"));

  await expect(proofs.prove(as(source, "a"))).rejects.toMatchObject({ code: "source-forbidden" });
});

test("a source that asks to be left alone is left alone by everybody", async () => {
  const { source, proofs } = await fixture();
  for (const user of ["a", "b", "c"]) source.allowed.add(user);
  source.trouble = { status: 429, retryAfter: "1" };
  const first = proofs.prove(as(source, "a"));
  while (source.proofs.length === 0) await Bun.sleep(5);
  const toldMs = performance.now();
  await Bun.sleep(100);
  source.trouble = null;

  await Promise.all([first, proofs.prove(as(source, "b")), proofs.prove(as(source, "c"))]);

  expect(performance.now() - toldMs).toBeGreaterThanOrEqual(900);
  expect(source.proofs).toHaveLength(4);
});

test("HEAD proves where that is wanted, and is no proof for GET", async () => {
  const { source, proofs } = await fixture();
  source.allowed.add("a");

  const head = await proofs.prove({ ...as(source, "a"), method: "HEAD" });
  const get = await proofs.prove(as(source, "a"));

  expect([head.version.length, get.version.length]).toEqual([1_000, 1_000]);
  expect(source.proofs).toHaveLength(2);
});

test("T-35: what is remembered of a proof holds no credential", async () => {
  const { source, proofs } = await fixture();
  source.allowed.add("canary");
  await proofs.prove({
    url: source.url.replace("//", "//user:canary@"),
    headers: { authorization: "canary" },
  });

  expect(Bun.inspect(proofs, { depth: 20 })).not.toContain("canary");
});
