// What a supernode must tell its fleet: nothing is lost with a heartbeat that was not answered, and
// nothing is told for ever.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { HeartbeatOutbox } from "../../src/net/fleet/heartbeat-outbox.ts";
import type { CommandResult } from "../../src/net/wire/command.ts";

const result = (id: string, state: CommandResult["state"]): CommandResult => ({
  ...{ id, hostId: "a".repeat(64), state },
});

test("a result is told until a heartbeat with it was answered, the newest of each command", () => {
  const outbox = new HeartbeatOutbox();
  outbox.report(result("one", "running"));
  outbox.report(result("one", "done"));

  const lost = outbox.contents();
  const heard = outbox.contents();
  outbox.heard(heard);

  expect(lost.results).toEqual([result("one", "done")]);
  expect(heard.results).toEqual(lost.results);
  expect(outbox.contents().results).toEqual([]);
});

test("a result that came while a heartbeat was under way goes with the next", () => {
  const outbox = new HeartbeatOutbox();
  outbox.report(result("one", "running"));

  const underWay = outbox.contents();
  outbox.report(result("one", "failed"));
  outbox.heard(underWay);

  expect(outbox.contents().results).toEqual([result("one", "failed")]);
  expect(outbox.isUrgent).toBe(true);
});

test("only the first answered heartbeat says that it names all hosts", () => {
  const outbox = new HeartbeatOutbox();

  expect(outbox.contents().hosts?.isAll).toBe(true);
  outbox.heard(outbox.contents());
  expect(outbox.contents().hosts?.isAll).toBe(false);
});

test("whoever applies the answered heartbeats in order knows which hosts are here", () => {
  const hosts = ["a", "b", "c", "d"];
  const change = fc.record({
    hostId: fc.constantFrom(...hosts),
    isHere: fc.boolean(),
    beat: fc.constantFrom("none", "lost", "answered", "answered late"),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const outbox = new HeartbeatOutbox();
      const here = new Set<string>();
      const known = new Set<string>();
      const apply = (told: ReturnType<HeartbeatOutbox["contents"]>): void => {
        if (told.hosts?.isAll) known.clear();
        for (const hostId of told.hosts?.arrived ?? []) known.add(hostId);
        for (const hostId of told.hosts?.gone ?? []) known.delete(hostId);
        outbox.heard(told);
      };
      for (const { hostId, isHere, beat } of changes) {
        const underWay = outbox.contents();
        if (isHere) here.add(hostId);
        else here.delete(hostId);
        outbox.hostsChanged(isHere ? { arrived: [hostId] } : { gone: [hostId] });
        if (beat === "answered late") apply(underWay);
        if (beat === "answered") apply(outbox.contents());
      }
      apply(outbox.contents());

      expect([...known].toSorted()).toEqual([...here].toSorted());
    }),
  );
});

test("the largest heartbeat is below what df config takes, and the rest goes with the next", () => {
  const outbox = new HeartbeatOutbox();
  const idOf = (index: number): string => index.toString(16).padStart(64, "0");
  const error = { code: "internal", message: "€".repeat(1_024) };
  for (let index = 0; index < 2_500; index++) {
    outbox.report({ id: idOf(index), hostId: idOf(index), state: "failed", error });
  }
  const hosts = Array.from({ length: 30_000 }, (_, index) => idOf(index));
  outbox.hostsChanged({ arrived: hosts, gone: hosts.map((id) => `f${id.slice(1)}`) });

  const told = new Set<string>();
  for (let beats = 0; beats < 3; beats++) {
    const contents = outbox.contents();
    expect(Buffer.byteLength(JSON.stringify(contents))).toBeLessThan(7 << 20);
    for (const { id } of contents.results) told.add(id);
    outbox.heard(contents);
  }

  expect(told.size).toBe(2_500);
});
