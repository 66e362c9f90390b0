// X.509 as a fleet needs it, and a proxy that speaks for hosts: one CA each, and certificates of servers that
// it signs. Nothing that a machine of a fleet sends but its public key ends up in one. Loaded only when a
// certificate is to be made: the libraries behind it take longer to start than most commands.

// @peculiar/x509 fails without it.
import "reflect-metadata";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { FLEET_CA_NAME } from "../../net/tls/fleet-ca-name.ts";

export interface CaKeys {
  /** PEM. */
  certificate: string;
  /** PKCS #8, DER, base64. */
  privateKey: string;
}

const DAY_MS = 86_400_000;

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** A fleet's CA is pinned by machines that nobody visits: it outlives them. */
const CA_LIFE_MS = 30 * 365 * DAY_MS;

/** The longest that clients of today accept is 398 days; a credential ends after 366, the certificate after it. */
export const CERTIFICATE_LIFE_MS = 397 * DAY_MS;

/** For which the library has no class of its own. */
const NAME_CONSTRAINTS = "2.5.29.30";

/** Machines whose clocks are behind believe a new certificate all the same. */
const CLOCK_SKEW_MS = 3_600_000;

export interface CaOptions {
  /** @defaultValue a fleet's */
  name?: string;
  /** @defaultValue CA_LIFE_MS */
  lifeMs?: number;
  /** The names that it may sign for: DER (RFC 5280 §4.2.1.10). @defaultValue any */
  nameConstraints?: Uint8Array | null;
}

/** Makes a CA that signs servers and no other CA: by default those of one fleet. */
export async function makeCa({
  name = FLEET_CA_NAME,
  lifeMs = CA_LIFE_MS,
  nameConstraints = null,
}: CaOptions = {}): Promise<CaKeys> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const nowMs = Date.now();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerialNumber(),
    name: `CN=${name}`,
    notBefore: new Date(nowMs - CLOCK_SKEW_MS),
    notAfter: new Date(nowMs + lifeMs),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...(nameConstraints === null
        ? []
        : [new Extension(NAME_CONSTRAINTS, true, nameConstraints.slice())]),
    ],
  });
  const privateKey = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    certificate: certificate.toString("pem"),
    privateKey: Buffer.from(privateKey).toString("base64"),
  };
}

export interface CertificateOrder {
  /** P-256, SPKI, DER, base64. */
  publicKey: string;
  /** DNS names and addresses. */
  names: readonly string[];
  /** Its common name. @defaultValue the first name */
  subject?: string;
  /** @defaultValue CERTIFICATE_LIFE_MS */
  lifeMs?: number;
}

/**
 * A server's certificate.
 * @throws {Error} for a key that is none of that curve
 */
export async function issueCertificate(
  ca: CaKeys,
  { publicKey, names, subject = names[0]!, lifeMs = CERTIFICATE_LIFE_MS }: CertificateOrder,
): Promise<string> {
  const nowMs = Date.now();
  const issuer = new X509Certificate(ca.certificate);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    subject: `CN=${subject}`,
    issuer: issuer.subject,
    notBefore: new Date(nowMs - CLOCK_SKEW_MS),
    notAfter: new Date(nowMs + lifeMs),
    signingAlgorithm: ALGORITHM,
    publicKey: await importKey("spki", publicKey, "verify"),
    signingKey: await importKey("pkcs8", ca.privateKey, "sign"),
    extensions: serverExtensions(names),
  });
  return certificate.toString("pem");
}

function serverExtensions(names: readonly string[]): Extension[] {
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
    new SubjectAlternativeNameExtension(
      names.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value })),
    ),
  ];
}

/** @throws {Error} for anything but a key of this form and curve */
function importKey(
  format: "spki" | "pkcs8",
  base64: string,
  usage: "sign" | "verify",
): Promise<CryptoKey> {
  // The library exports the public key again to write it down.
  const isExtractable = format === "spki";
  const bytes = Buffer.from(base64, "base64");
  return crypto.subtle.importKey(format, bytes, ALGORITHM, isExtractable, [usage]);
}

/** 16 bytes, positive and without leading zeros (RFC 5280 §4.1.2.2). */
function newSerialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString("hex");
}
