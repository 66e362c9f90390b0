// What a ticket opens, for whom and for how long; and what is no ticket.

import { expect, setSystemTime, test, afterEach } from "bun:test";
import { createHmac, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import fc from "fast-check";
import { signTicket, TicketCheck } from "../../../src/net/wire/piece-ticket.ts";

const CONTENT = "ab".repeat(32);
const HOST = "cd".repeat(32);

interface Keys {
  privateKey: KeyObject;
  clusterPrivateKey: string;
  clusterKey: string;
}

function keysFixture(): Keys {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    privateKey,
    clusterPrivateKey: privateKey.export({ type: "pkcs8", format: "der" }).toString("base64"),
    clusterKey: publicKey.export({ type: "spki", format: "der" }).toString("base64"),
  };
}

const cluster = keysFixture();
const ticket = (lifeSeconds = 300, keys = cluster): string =>
  signTicket(keys.clusterPrivateKey, { contentId: CONTENT, hostId: HOST }, lifeSeconds);

afterEach(() => {
  setSystemTime();
});

test("a ticket grants one content to one host", () => {
  const check = new TicketCheck(cluster.clusterKey);

  const grants = [ticket(), ticket()].map((text) => check.grantOf(text));

  expect(grants).toEqual([1, 2].map(() => ({ contentId: CONTENT, hostId: HOST })));
  expect(ticket()).not.toEqual(ticket());
});

test("T-08: a ticket ends when it says, give or take a minute of clocks, also one seen before", () => {
  const check = new TicketCheck(cluster.clusterKey);
  const seen = ticket(100);
  const unseen = ticket(100);
  check.grantOf(seen);

  setSystemTime(Date.now() + 150_000);
  const within = check.grantOf(seen);
  setSystemTime(Date.now() + 15_000);

  expect(within).not.toBeNull();
  expect(check.grantOf(seen)).toBeNull();
  expect(check.grantOf(unseen)).toBeNull();
});

test("no ticket lasts longer than five minutes, whatever is asked", () => {
  const check = new TicketCheck(cluster.clusterKey);
  const greedy = ticket(86_400);

  setSystemTime(Date.now() + 361_000);

  expect(check.grantOf(greedy)).toBeNull();
});

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

const nowSeconds = Math.floor(Date.now() / 1000);
const claims = {
  jti: "1",
  sub: HOST,
  content: CONTENT,
  iat: nowSeconds,
  exp: nowSeconds + 300,
};

function hmacTicket(header: object, secret: string | Buffer): string {
  const signed = `${encoded(header)}.${encoded(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

function signedTicket(header: object, payload: object, key = cluster.privateKey): string {
  const signed = `${encoded(header)}.${encoded(payload)}`;
  return `${signed}.${sign(null, Buffer.from(signed), key).toString("base64url")}`;
}

const HEADER = { alg: "EdDSA", typ: "df-ticket+jwt" };
const publicKeyBytes = Buffer.from(cluster.clusterKey, "base64");

test.each<[string, string]>([
  [
    "one without a signature (alg none)",
    `${encoded({ ...HEADER, alg: "none" })}.${encoded(claims)}.`,
  ],
  ["one that only left the signature out", `${encoded(HEADER)}.${encoded(claims)}.`],
  [
    "one signed HS256 with the public key as the secret",
    hmacTicket({ ...HEADER, alg: "HS256" }, publicKeyBytes),
  ],
  [
    "one signed HS256 with the public key's text",
    hmacTicket({ ...HEADER, alg: "HS256" }, cluster.clusterKey),
  ],
  ["one signed with an HMAC that says EdDSA", hmacTicket(HEADER, publicKeyBytes)],
  ["one of a well known secret", hmacTicket({ ...HEADER, alg: "HS256" }, "Secret Key")],
  ["one of an empty secret", hmacTicket({ ...HEADER, alg: "HS256" }, "")],
  ["one of another cluster", ticket(300, keysFixture())],
  ["one that brings its own key", signedTicket({ ...HEADER, jwk: {} }, claims)],
  [
    "a credential of the same key",
    signedTicket({ alg: "EdDSA", typ: "df-credential+jwt" }, claims),
  ],
  ["one for no host", signedTicket(HEADER, { ...claims, sub: undefined })],
  ["one for no content", signedTicket(HEADER, { ...claims, content: "" })],
  ["one without an end", signedTicket(HEADER, { ...claims, exp: undefined })],
  ["one with a fourth part", `${ticket()}.x`],
  ["nothing", ""],
])("T-09: %s is no ticket", (_, forged) => {
  expect(new TicketCheck(cluster.clusterKey).grantOf(forged)).toBeNull();
});

/** All but the last character, whose low bits say nothing. */
test("T-09: a ticket with any character changed is none, and no text is too odd to read", () => {
  const check = new TicketCheck(cluster.clusterKey);
  const good = ticket();

  fc.assert(
    fc.property(
      fc.nat(good.length - 2),
      fc.constantFrom(...Array.from("AZaz09-_.= ")),
      (at, character) => {
        fc.pre(good[at] !== character);
        const changed = good.slice(0, at) + character + good.slice(at + 1);
        return check.grantOf(changed) === null;
      },
    ),
  );
  fc.assert(fc.property(fc.string({ maxLength: 3_000 }), (text) => check.grantOf(text) === null));
});

test("T-09: only an Ed25519 key checks tickets", () => {
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const rsa = publicKey.export({ type: "spki", format: "der" }).toString("base64");

  expect(() => new TicketCheck(rsa)).toThrow("Ed25519");
  expect(() => new TicketCheck("")).toThrow();
});
