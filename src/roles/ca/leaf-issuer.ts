// Makes the certificates that the proxy shows to its clients: all of one key, which is this process's and
// nobody else's, and never the CA's.

import { generateKeyPairSync } from "node:crypto";
import type { LeafCertificate } from "../../net/proxy/interceptor.ts";
import type { ProxyCa } from "./proxy-ca.ts";

/**
 * No name of a host: those may be longer than the 64 characters of a common name, and OpenSSL compares an
 * address in this place with the names that the CA may speak for.
 */
const SUBJECT = "df proxy leaf";

/** A process may run for longer: the interceptor asks again in time. */
const LIFE_MS = 30 * 86_400_000;

/** @returns what issues a certificate for a name or an address; 3 to 10 ms each */
export function leafIssuer(ca: ProxyCa): (name: string) => Promise<LeafCertificate> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" }).toString("base64");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  return async (name) => {
    const { issueCertificate } = await import("../config/certificates.ts");
    const certificate = await issueCertificate(ca, {
      ...{ publicKey: spki, names: [name], subject: SUBJECT, lifeMs: LIFE_MS },
    });
    return { certificate, privateKey: pem, endsAt: Date.now() + LIFE_MS };
  };
}
