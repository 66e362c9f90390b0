// The CA of one installation's proxy: made when it is first needed, for the hosts that were named then, kept
// with a 0600 key in the peer's data directory. It has nothing to do with a fleet's CA: it signs servers
// for clients of this machine, its path length is 0, and no machine of a fleet believes it.

import { X509Certificate } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { DfError } from "../../errors.ts";
import { bareHost } from "../../net/bare-host.ts";
import { parseUrlPattern } from "../../net/url-pattern.ts";
import { writeError } from "../../store/file-errors.ts";
import { writeSecretFile } from "../config/secret-file.ts";
import { nameConstraints } from "./name-constraints.ts";

const proxyCaSchema = z.strictObject({
  /** PEM. */
  certificate: z.string(),
  /** PKCS #8, DER, base64. */
  privateKey: z.base64(),
  /** Patterns of hosts that it may speak for, without ports; "*" for every host. */
  hosts: z.array(z.string()).min(1),
});
export type ProxyCa = z.infer<typeof proxyCaSchema>;

const LIFE_MS = 10 * 365 * 86_400_000;

/** Where the certificate lies for those who are to trust it. */
export function certificatePathOf(dataDir: string): string {
  return join(dataDir, "proxy-ca", "ca.pem");
}

function keyPathOf(dataDir: string): string {
  return join(dataDir, "proxy-ca", "ca.json");
}

/**
 * The CA that is there; undefined when there is none.
 * @throws {DfError} file-unreadable; denied, when others can read the key
 */
export function readProxyCa(dataDir: string): ProxyCa | undefined {
  const path = keyPathOf(dataDir);
  let text: string;
  try {
    if ((statSync(path).mode & 0o077) !== 0) {
      throw new DfError("denied", `read the proxy's CA ${path}: other users can read its key`, {
        hint: `make another with df ca show --replace --for HOST,…, for its key may be known, or run: chmod 600 ${path}`,
      });
    }
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if ((cause as { code?: string }).code === "ENOENT") return undefined;
    if (cause instanceof DfError) throw cause;
    throw new DfError("file-unreadable", `read the proxy's CA ${path}`, { cause });
  }
  try {
    return proxyCaSchema.parse(JSON.parse(text));
  } catch {
    // Without the cause: it might quote the file.
    throw new DfError("file-unreadable", `read the proxy's CA ${path}: damaged`, {
      hint: "make another with df ca show --replace --for HOST,…, and have clients trust that",
    });
  }
}

/**
 * The CA that is there, or a new one for these hosts.
 * @param hosts patterns; their schemes, ports and paths do not count
 * @throws {DfError} as readProxyCa; file-unwritable
 */
export async function openProxyCa(dataDir: string, hosts: readonly string[]): Promise<ProxyCa> {
  return readProxyCa(dataDir) ?? makeProxyCa(dataDir, hosts, { isKept: true });
}

/**
 * Makes a CA in the place of any other.
 * @throws {DfError} file-unwritable
 */
export async function makeProxyCa(
  dataDir: string,
  hosts: readonly string[],
  { isKept = false }: { isKept?: boolean } = {},
): Promise<ProxyCa> {
  const names = [...new Set(hosts.map(hostIn))];
  const { makeCa } = await import("../config/certificates.ts");
  const { certificate, privateKey } = await makeCa({
    // Two CAs of one name confuse clients that trust both.
    name: `df proxy of ${hostname()} ${crypto.randomUUID().slice(0, 8)}`,
    lifeMs: LIFE_MS,
    nameConstraints: nameConstraints(names),
  });
  const ca: ProxyCa = { certificate, privateKey, hosts: names };
  return asOwnerOf(dataDir, () => keep(dataDir, ca, isKept));
}

/** @returns the one that is there then: another process may have been first */
async function keep(dataDir: string, ca: ProxyCa, isKept: boolean): Promise<ProxyCa> {
  const path = keyPathOf(dataDir);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw writeError(`create ${dirname(path)}`, error);
  }
  await writeSecretFile(path, `${JSON.stringify(ca)}\n`, { isKept });
  const made = readProxyCa(dataDir) ?? ca;
  await writeSecretFile(certificatePathOf(dataDir), made.certificate);
  chmodSync(certificatePathOf(dataDir), 0o644);
  return made;
}

/**
 * Root does work in another user's directory as that user: what it makes is his, for the peer has to read it, and
 * what he put there, a link perhaps, leads root nowhere.
 */
async function asOwnerOf<T>(dataDir: string, work: () => Promise<T>): Promise<T> {
  const owner = statSync(dataDir, { throwIfNoEntry: false });
  if (process.geteuid?.() !== 0 || owner === undefined || owner.uid === 0) return work();
  process.setegid!(owner.gid);
  process.seteuid!(owner.uid);
  try {
    return await work();
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
  }
}

/** SHA-256 of the certificate, as other tools print it. */
export function fingerprintOf({ certificate }: ProxyCa): string {
  return new X509Certificate(certificate).fingerprint256;
}

/** The host of a pattern, IPv6 without brackets. */
export function hostIn(pattern: string): string {
  return bareHost(parseUrlPattern(pattern)?.host ?? pattern);
}
