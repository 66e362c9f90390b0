// Who this host is, across restarts: an ID and an Ed25519 key pair, made once and kept in the data
// directory. The key proves the identity once channels are authenticated.

import { generateKeyPairSync } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { digestNow, toHex } from "../../engine/bytes/digest.ts";
import { Secret } from "../../engine/bytes/secret.ts";
import { DfError } from "../../errors.ts";

const identitySchema = z.object({
  /** SHA-256 of the public key, hex. */
  hostId: z.string().regex(/^[0-9a-f]{64}$/),
  /** Base64 of SPKI and PKCS #8, DER. */
  publicKey: z.string(),
  privateKey: z.string().transform((key) => new Secret(key)),
});
export type HostIdentity = z.infer<typeof identitySchema>;

/**
 * Reads the identity in `dataDir`, which must exist, or makes it.
 * @throws {DfError} file-unwritable
 */
export function loadHostIdentity(dataDir: string): HostIdentity {
  const path = join(dataDir, "identity.json");
  return readIdentity(path) ?? makeIdentity(path);
}

/** A file that is missing or damaged is no identity: the host becomes a new one. */
function readIdentity(path: string): HostIdentity | undefined {
  try {
    return identitySchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return undefined;
  }
}

function makeIdentity(path: string): HostIdentity {
  const identity = newIdentity();
  try {
    writeFileSync(
      `${path}.new`,
      JSON.stringify({ ...identity, privateKey: identity.privateKey.reveal() }),
      { mode: 0o600 },
    );
    renameSync(`${path}.new`, path);
  } catch (cause) {
    throw new DfError("file-unwritable", `write ${path}`, { cause });
  }
  return identity;
}

/** A key pair that nobody has yet, and the ID that goes with it. */
export function newIdentity(): HostIdentity {
  const keys = generateKeyPairSync("ed25519");
  const publicKey = keys.publicKey.export({ type: "spki", format: "der" });
  return {
    hostId: toHex(digestNow("sha256", publicKey)),
    publicKey: publicKey.toString("base64"),
    privateKey: new Secret(
      keys.privateKey.export({ type: "pkcs8", format: "der" }).toString("base64"),
    ),
  };
}
