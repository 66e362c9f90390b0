// How long a child of a private content has a ticket that counts.

import { afterEach, expect, test } from "bun:test";
import { TicketCheck } from "../../src/net/wire/piece-ticket.ts";
import { RequestCheck } from "../../src/net/wire/ticketed-request.ts";
import { newIdentity } from "../../src/roles/peer/host-identity.ts";
import { TicketOffice } from "../../src/roles/supernode/ticket-office.ts";

const CONTENT = "ab".repeat(32);

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function officeFixture() {
  const cluster = newIdentity();
  const self = newIdentity();
  const office = new TicketOffice(cluster.privateKey, self, { renewalMs: 20 });
  closers.push(() => office.stop());
  return { office, check: new TicketCheck(cluster.publicKey) };
}

function childFixture() {
  const { hostId } = newIdentity();
  const given: string[] = [];
  const state = { asks: true };
  const child = {
    ...{ contentId: CONTENT, hostId },
    hasAskedSince: () => state.asks,
    give: (ticket: string) => void given.push(ticket),
  };
  return { child, given, state };
}

test("a child that goes on asking gets a fresh ticket again and again, each its own", async () => {
  const { office, check } = officeFixture();
  const { child, given } = childFixture();

  const first = office.admit(child);
  while (given.length < 3) await Bun.sleep(5);

  const { contentId, hostId } = child;
  for (const ticket of [first, ...given])
    expect(check.grantOf(ticket)).toEqual({ contentId, hostId });
  expect(new Set([first, ...given]).size).toBe(given.length + 1);
});

test("a child that is done gets none any more, whatever others get", async () => {
  const { office } = officeFixture();
  const done = childFixture();
  const other = childFixture();
  done.state.asks = false;

  office.admit(done.child);
  office.admit(other.child);
  while (other.given.length < 2) await Bun.sleep(5);
  done.state.asks = true;
  const { length } = other.given;
  while (other.given.length < length + 2) await Bun.sleep(5);

  expect(done.given).toEqual([]);
});

test("a child that joins again and again gets no more tickets than others, and delays theirs no more", async () => {
  const { office } = officeFixture();
  const restless = childFixture();
  const other = childFixture();

  for (let joins = 0; joins < 2_000; joins++) office.admit(restless.child);
  office.admit(other.child);
  while (other.given.length < 3) await Bun.sleep(5);

  expect(restless.given.length).toBeLessThanOrEqual(other.given.length + 1);
});

test("a supernode's own requests are authorised for private contents, and bear nothing for others", () => {
  const { office, check } = officeFixture();
  const asked = { path: `/v1/have/${CONTENT}`, host: "10.0.0.1:65002" };
  const facts = {
    ...{ contentId: CONTENT, taskId: CONTENT, url: "http://files.test/a", validator: null },
    ...{ layout: { length: 1, pieceLength: 16_384 }, lastModified: null, answer: null },
  };

  const headers = new Headers(office.authorise({ ...facts, isPrivate: true })!(asked));
  headers.set("host", asked.host);

  expect(new RequestCheck(check).isAuthorised(CONTENT, asked.path, headers)).toBe(true);
  expect(office.authorise(facts)).toBeUndefined();
});
