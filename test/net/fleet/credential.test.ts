// Credentials and join strings: what is signed is believed, anything else is refused.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { isDfError } from "../../../src/errors.ts";
import {
  type Credential,
  CredentialCheck,
  signCredential,
} from "../../../src/net/fleet/credential.ts";
import { formatJoinString, parseJoinString } from "../../../src/net/fleet/join-string.ts";

const keys = await generateKeyPair("EdDSA", { extractable: true });
const fleetKey = Buffer.from((await exportJWK(keys.publicKey)).x!, "base64url").toString("base64");

const credential = (change: Partial<Credential> = {}): Credential => ({
  ...{ id: "c1", hostId: "ab".repeat(32), role: "peer" as const, cluster: "hz" },
  ...{ expiresAt: Math.floor(Date.now() / 1000) * 1000 + 3_600_000, ...change },
});

async function refusalOf(token: string, check = new CredentialCheck(fleetKey)): Promise<string> {
  const error = await check.check(token).catch((error: unknown) => error);
  return isDfError(error, "unauthorized") ? error.message : `not refused: ${String(error)}`;
}

test("a credential that the fleet signed says who shows it", async () => {
  const check = new CredentialCheck(fleetKey);
  const shown = credential();
  const token = await signCredential(keys.privateKey, shown);

  expect(await check.check(token)).toEqual(shown);
  expect(await check.check(token)).toEqual(shown);
});

test("a credential is no longer believed once it is revoked, also one that was checked before", async () => {
  const check = new CredentialCheck(fleetKey);
  const token = await signCredential(keys.privateKey, credential());
  await check.check(token);

  check.revoke(new Set(["c1"]));

  expect(await refusalOf(token, check)).toContain("revoked");
});

test("what has expired is refused", async () => {
  const old = await signCredential(
    keys.privateKey,
    credential({ expiresAt: Date.now() - 120_000 }),
  );

  expect(await refusalOf(old)).toContain("expired");
});

test("what another key, no key or another purpose signed is refused", async () => {
  const others = await generateKeyPair("EdDSA");
  const claims = { role: "peer", cluster: "hz" };
  const wrongPurpose = await new SignJWT(claims)
    .setProtectedHeader({ alg: "EdDSA", typ: "JWT" })
    .setJti("c1")
    .setSubject("ab".repeat(32))
    .setExpirationTime("1h")
    .sign(keys.privateKey);
  const wrongMac = await new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256", typ: "df-credential+jwt" })
    .setJti("c1")
    .setSubject("ab".repeat(32))
    .setExpirationTime("1h")
    .sign(Buffer.from(fleetKey, "base64"));

  for (const token of [
    await signCredential(others.privateKey, credential()),
    await signCredential(keys.privateKey, credential({ hostId: "me" })),
    new UnsecuredJWT(claims).setJti("c1").setExpirationTime("1h").encode(),
    wrongPurpose,
    wrongMac,
  ]) {
    expect(await refusalOf(token)).toContain("did not sign");
  }
});

test("a credential with any one character changed is refused", async () => {
  const token = await signCredential(keys.privateKey, credential());
  const check = new CredentialCheck(fleetKey);

  await fc.assert(
    fc.asyncProperty(
      fc.nat(token.length - 2),
      fc.constantFrom("A", "z", ".", "_"),
      async (at, c) => {
        fc.pre(token[at] !== c);
        const changed = token.slice(0, at) + c + token.slice(at + 1);
        expect(await refusalOf(changed, check)).toContain("did not sign");
      },
    ),
    { numRuns: 50 },
  );
});

test("a join string survives the way through a terminal", () => {
  fc.assert(
    fc.property(
      fc.array(fc.webUrl({ validSchemes: ["http", "https"] }), { minLength: 1, maxLength: 4 }),
      fc.option(fc.string({ maxLength: 64 }), { nil: undefined }),
      (urls, token) => {
        const join = { urls, fleetKey, ...(token === undefined ? {} : { token }) };
        const { token: readToken, ...place } = parseJoinString(`  ${formatJoinString(join)}\n`);
        expect(place).toEqual({ urls, fleetKey });
        expect(readToken?.reveal()).toBe(token);
      },
    ),
  );
});

test("garbage is no join string, and is not repeated", () => {
  const damaged = formatJoinString({ urls: ["http://a:1"], fleetKey }).slice(0, -8);
  const wrong = `df1.${Buffer.from('{"urls":["ftp://a"],"fleetKey":"x"}').toString("base64url")}`;

  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.constantFrom(damaged, wrong, "df1.", "df2.e30")),
      (text) => {
        let error: unknown;
        try {
          parseJoinString(text);
        } catch (thrown) {
          error = thrown;
        }
        expect(isDfError(error, "usage")).toBe(true);
        if (text.length > 12) expect(String(error)).not.toContain(text);
      },
    ),
  );
});
