// The fleet's keys: Ed25519 signs credentials, AES-256 seals what must rest in the database unread, and
// what `trust` says makes the fleet believe its supernodes. They lie in a 0600 file apart from the
// database; replicas of one fleet share the file.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import {
  compactDecrypt,
  CompactEncrypt,
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  importJWK,
} from "jose";
import { z } from "zod";
import { digestNow, toHex } from "../../engine/bytes/digest.ts";
import { DfError } from "../../errors.ts";
import { type Credential, signCredential } from "../../net/fleet/credential.ts";
import { claimKeyFingerprint, readFleet } from "../../store/fleet-database/fleet-row.ts";
import type { FleetDatabase } from "../../store/fleet-database/fleet-database.ts";
import { writeSecretFile } from "./secret-file.ts";

const base64url32Bytes = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

const trustKeysSchema = z.strictObject({
  /** Who signs the fleet's certificates: PEM, and its key as PKCS #8, DER. */
  caCertificate: z.string(),
  caPrivateKey: z.base64(),
  /** Ed25519, PKCS #8, DER: signs manifests and tickets. */
  clusterPrivateKey: z.base64(),
  /** 32 bytes: content keys are derived from it. */
  contentSecret: z.base64().length(44),
});
/** What supernodes are believed by; made once for a fleet. */
export type TrustKeys = z.infer<typeof trustKeysSchema>;

/** The file. */
export const keysSchema = z.strictObject({
  /** JWK of the Ed25519 key. */
  signing: z.strictObject({
    kty: z.literal("OKP"),
    crv: z.literal("Ed25519"),
    x: base64url32Bytes,
    d: base64url32Bytes,
  }),
  /** 32 bytes. */
  sealing: base64url32Bytes,
  /** Absent from files of versions before it: added at the next start. */
  trust: trustKeysSchema.optional(),
});
export type KeysDocument = z.infer<typeof keysSchema>;

export class FleetKeys {
  readonly document: KeysDocument;
  readonly #signingKey: CryptoKey;

  private constructor(document: KeysDocument, signingKey: CryptoKey) {
    this.document = document;
    this.#signingKey = signingKey;
  }

  /** @throws {DfError} file-unreadable, when the parts of the key do not belong together */
  static async from(document: KeysDocument, path: string): Promise<FleetKeys> {
    try {
      return new FleetKeys(document, await importJWK(document.signing, "EdDSA"));
    } catch (cause) {
      throw new DfError("file-unreadable", `read the fleet's keys ${path}: damaged`, { cause });
    }
  }

  /** Raw Ed25519 public key, base64, as machines know their fleet by. */
  get publicKey(): string {
    return Buffer.from(this.document.signing.x, "base64url").toString("base64");
  }

  /** SHA-256 of the raw public key, hex. */
  get fingerprint(): string {
    return toHex(digestNow("sha256", Buffer.from(this.publicKey, "base64")));
  }

  sign(credential: Credential): Promise<string> {
    return signCredential(this.#signingKey, credential);
  }

  /** Seals a text to a compact JWE. */
  seal(text: string): Promise<string> {
    return new CompactEncrypt(new TextEncoder().encode(text))
      .setProtectedHeader({ alg: "dir", enc: "A256GCM" })
      .encrypt(this.#sealingKey);
  }

  /** @throws {DfError} internal, for what these keys did not seal */
  async unseal(sealed: string): Promise<string> {
    try {
      const { plaintext } = await compactDecrypt(sealed, this.#sealingKey);
      return new TextDecoder().decode(plaintext);
    } catch (cause) {
      throw new DfError("internal", "open what the fleet's key sealed: not sealed by it", {
        cause,
      });
    }
  }

  get #sealingKey(): Uint8Array {
    return Buffer.from(this.document.sealing, "base64url");
  }
}

/**
 * Reads the keys, or makes them where there are none and the fleet has none either.
 * @throws {DfError} file-unreadable, file-unwritable, denied (others can read them, or the fleet's are others)
 */
export async function loadFleetKeys(path: string, database: FleetDatabase): Promise<FleetKeys> {
  let document = readFleetKeys(path);
  if (document === undefined) {
    const { keyFingerprint } = await readFleet(database);
    if (keyFingerprint !== null) throw wrongKeys(path, "there are none");
    document = await makeKeys(path);
  }
  if (document.trust === undefined) document = await completeKeys(path);
  const keys = await FleetKeys.from(document, path);
  const claimed = await claimKeyFingerprint(database, keys.fingerprint);
  if (claimed === keys.fingerprint) return keys;
  throw wrongKeys(path, `these are ${shortened(keys.fingerprint)}, not ${shortened(claimed)}`);
}

function wrongKeys(path: string, found: string): DfError {
  return new DfError(
    "denied",
    `use the keys ${path}: the fleet of this database has others, ${found}`,
    { hint: "name the file that the fleet's replicas share with --keys, or restore a backup" },
  );
}

function shortened(fingerprint: string): string {
  return fingerprint.slice(0, 16);
}

/**
 * Reads the file; undefined when there is none.
 * @throws {DfError} file-unreadable, denied (others can read it)
 */
export function readFleetKeys(path: string): KeysDocument | undefined {
  let text: string;
  try {
    if ((statSync(path).mode & 0o077) !== 0) {
      throw new DfError("denied", `read the fleet's keys ${path}: other users can read them`, {
        hint: `run: chmod 600 ${path}`,
      });
    }
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if ((cause as { code?: string }).code === "ENOENT") return undefined;
    if (cause instanceof DfError) throw cause;
    throw new DfError("file-unreadable", `read the fleet's keys ${path}`, { cause });
  }
  try {
    return keysSchema.parse(JSON.parse(text));
  } catch {
    // Without the cause: it might quote the file.
    throw new DfError("file-unreadable", `read the fleet's keys ${path}: damaged`, {
      hint: "restore a backup: what machines hold was signed with these keys",
    });
  }
}

async function makeKeys(path: string): Promise<KeysDocument> {
  const { privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  const { x, d } = await exportJWK(privateKey);
  const document = keysSchema.parse({
    signing: { kty: "OKP", crv: "Ed25519", x, d },
    sealing: randomBytes(32).toString("base64url"),
    trust: await makeTrustKeys(),
  });
  // A replica that starts at the same time with the same file: the first one's keys count.
  await writeSecretFile(path, `${JSON.stringify(document)}\n`, { isKept: true });
  return readFleetKeys(path) ?? document;
}

async function makeTrustKeys(): Promise<TrustKeys> {
  // Loaded here alone: other commands read keys and never make certificates.
  const { makeCa } = await import("./certificates.ts");
  const ca = await makeCa();
  const { privateKey } = generateKeyPairSync("ed25519");
  return {
    caCertificate: ca.certificate,
    caPrivateKey: ca.privateKey,
    clusterPrivateKey: privateKey.export({ type: "pkcs8", format: "der" }).toString("base64"),
    contentSecret: randomBytes(32).toString("base64"),
  };
}

/**
 * Adds what a file of an earlier version lacks. Replicas that do so at once agree: the first one's
 * addition lies beside the file under a name that only one can make, and whoever finds it there puts
 * that in the file's place.
 */
async function completeKeys(path: string): Promise<KeysDocument> {
  const additionPath = `${path}.completed`;
  for (;;) {
    const before = readFleetKeys(path);
    if (before === undefined) throw new DfError("file-unreadable", `read ${path}: it is gone`);
    if (before.trust !== undefined) return before;
    const complete = keysSchema.parse({ ...before, trust: await makeTrustKeys() });
    await writeSecretFile(additionPath, `${JSON.stringify(complete)}\n`, { isKept: true });
    const first = readFleetKeys(additionPath);
    // Another replica finished between the two reads: then what the file says counts.
    const now = readFleetKeys(path);
    if (now?.trust !== undefined) {
      await rm(additionPath, { force: true });
      return now;
    }
    if (first === undefined) continue;
    await writeSecretFile(path, `${JSON.stringify(first)}\n`);
    await rm(additionPath, { force: true });
  }
}
