// The key of this supernode's certificate: P-256, made once and kept in the data directory. It is not the
// key of its identity: the runtime's TLS takes no Ed25519 keys from every client.

import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "../../engine/bytes/secret.ts";
import { DfError } from "../../errors.ts";

export interface TlsKey {
  /** PKCS #8, PEM. */
  readonly privateKey: Secret<string>;
  /** SPKI, DER, base64. */
  readonly publicKey: string;
}

/**
 * Reads the key in `dataDir`, which must exist, or makes it. A damaged one is replaced: the fleet gives
 * a certificate for the new one.
 * @throws {DfError} file-unwritable
 */
export function loadTlsKey(dataDir: string): TlsKey {
  const path = join(dataDir, "tls-key.pem");
  return readKey(path) ?? makeKey(path);
}

function readKey(path: string): TlsKey | undefined {
  try {
    return keyOf(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

function makeKey(path: string): TlsKey {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const text = privateKey.export({ type: "pkcs8", format: "pem" });
  try {
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch (cause) {
    throw new DfError("file-unwritable", `write ${path}`, { cause });
  }
  return keyOf(text);
}

/** @throws for what is no private key */
function keyOf(privateKey: string): TlsKey {
  const publicKey = createPublicKey(createPrivateKey(privateKey));
  return {
    privateKey: new Secret(privateKey),
    publicKey: publicKey.export({ type: "spki", format: "der" }).toString("base64"),
  };
}
