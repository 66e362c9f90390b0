// Who floods `df config` with wrong tokens waits, and nobody else does.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Session } from "../../../bench/harness/session.ts";
import { FailedAttempts } from "../../../src/roles/config/failed-attempts.ts";
import {
  configFixture,
  joinedFixture,
  machineFixture,
  routeRequestFixture,
} from "../../fixtures/config-fixture.ts";

const WRONG_TOKEN = `dfj_${"0".repeat(16)}_${"A".repeat(43)}`;

test("T-34: a flood of wrong join tokens is told to wait, machines of the fleet go on", () =>
  Session.run("attempts", async (session) => {
    const fixture = await configFixture(session);
    const { credential, machine } = await joinedFixture(fixture);
    const join = () => fixture.call("POST join", { token: WRONG_TOKEN, body: machineFixture() });

    const answers = await Promise.all(Array.from({ length: 400 }, join));

    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401, 429]));
    const told = answers.find(({ status }) => status === 429)!;
    expect(told.json).toMatchObject({ code: "too-many" });
    expect(Number(told.headers.get("retry-after"))).toBeGreaterThan(0);
    const body = routeRequestFixture(machine.hostId);
    // It is let in and heard: a fleet without supernodes has no route for it.
    const routes = await fixture.call("POST routes", { token: credential, body });
    expect(routes.json).toMatchObject({ code: "no-supernode" });
    let status = 429;
    while (status === 429) ({ status } = await fixture.call("GET whoami"));
    expect(status).toBe(200);
  }));

test("of each address 256 wrong tokens are looked up at once and 4 more in a second", () => {
  const address = fc.constantFrom("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2");
  const steps = fc.array(fc.tuple(address, fc.integer({ min: 0, max: 40 })), { maxLength: 2_000 });
  fc.assert(
    fc.property(steps, (attempts) => {
      const failed = new FailedAttempts();
      const counts = new Map<string, number>();
      let nowMs = 0;
      for (const [from, afterMs] of attempts) {
        nowMs += afterMs;
        // Addresses of one /64 are one host's.
        const network = from.startsWith("2001") ? "2001:db8::" : from;
        if (failed.begin(from, nowMs)) counts.set(network, (counts.get(network) ?? 0) + 1);
      }
      for (const count of counts.values()) {
        expect(count).toBeLessThanOrEqual(256 + (nowMs / 1_000) * 4);
      }
    }),
    { numRuns: 50 },
  );
});

test("right tokens cost nothing, however many there are", () => {
  const attempts = new FailedAttempts();

  for (let i = 0; i < 1_000; i++) {
    expect(attempts.begin("10.0.0.1", 0)).toBe(true);
    attempts.succeeded("10.0.0.1", 0);
  }
});
