// Asks whoever listens at an address that a host named whether it is that host. Anybody may be at that
// address: what is sent there is one small request, what comes back is 88 characters or nothing.
//
//   told ─▶ resolved, all of it ordinary ─▶ GET /v1/address?nonce=… ─▶ signed with the host's key?

import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { bareHost } from "../bare-host.ts";
import { addressKind } from "../egress/address-kind.ts";
import { isBadPort } from "../egress/bad-ports.ts";
import { resolveWithoutThreads } from "../egress/resolve-name.ts";
import { addressPath, isAddressProof } from "../wire/address-proof.ts";
import { PieceConnection } from "./piece-connection.ts";

/** Who is said to be there. */
export interface DialledHost {
  hostId: string;
  /** SPKI DER, base64. */
  publicKey: string;
}

export type DialBackAnswer =
  /** `address`: the literal one that answered; a name may lead elsewhere the next time. */
  | { kind: "proven"; address: string }
  /** Nobody is ever asked at such an address. */
  | { kind: "forbidden" }
  /** Nobody answered, or somebody else did. */
  | { kind: "unproven" };

/** For the whole of it: name, connection and answer. A host that takes longer is no parent. */
const TIMEOUT_MS = 3_000;

/** Base64 of an Ed25519 signature. */
const ANSWER_BYTES = 88;

/**
 * @param told "host:port", IPv6 in brackets
 * @param options.allowsLoopback the host itself speaks from this machine
 */
export async function dialBack(
  told: string,
  host: DialledHost,
  { allowsLoopback }: { allowsLoopback: boolean },
  signal: AbortSignal,
): Promise<DialBackAnswer> {
  const colon = told.lastIndexOf(":");
  const name = bareHost(told.slice(0, colon));
  const port = Number(told.slice(colon + 1));
  if (isBadPort(port)) return { kind: "forbidden" };
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  try {
    const literals = isIP(name) === 0 ? await resolved(name, bounded) : [name];
    if (literals.some((literal) => !isOrdinary(literal, allowsLoopback)))
      return { kind: "forbidden" };
    for (const literal of literals) {
      const address = literal.includes(":") ? `[${literal}]:${port}` : `${literal}:${port}`;
      if (await isThere(address, host, bounded)) return { kind: "proven", address };
    }
  } catch {
    // No such name, nobody there, or not in time: all the same to who must not send others there.
  }
  return { kind: "unproven" };
}

async function resolved(name: string, signal: AbortSignal): Promise<string[]> {
  const late = Promise.withResolvers<never>();
  const abandon = (): void => late.reject(signal.reason);
  signal.addEventListener("abort", abandon);
  try {
    const found = await Promise.race([resolveWithoutThreads(name), late.promise]);
    return found.map(({ address }) => address);
  } finally {
    signal.removeEventListener("abort", abandon);
  }
}

/** Never unspecified, link-local, metadata or multicast addresses: no host of a fleet is there. */
function isOrdinary(literal: string, allowsLoopback: boolean): boolean {
  const kind = addressKind(literal);
  return kind === "public" || kind === "private" || (kind === "loopback" && allowsLoopback);
}

async function isThere(address: string, host: DialledHost, signal: AbortSignal): Promise<boolean> {
  const nonce = randomBytes(16).toString("hex");
  let answer = "";
  const options = { onClosed: () => {}, stallTimeoutMs: TIMEOUT_MS };
  const connection = await PieceConnection.open(address, options, signal);
  try {
    await connection.ask(
      {
        path: addressPath(nonce),
        range: { first: 0, last: ANSWER_BYTES - 1 },
        fields: {},
        onHead: ({ status, contentLength }) => status === 200 && contentLength === ANSWER_BYTES,
        onBody: (bytes) => {
          answer += Buffer.from(bytes).toString("latin1");
        },
      },
      signal,
    );
  } finally {
    connection.close();
  }
  return isAddressProof(answer, nonce, host);
}
