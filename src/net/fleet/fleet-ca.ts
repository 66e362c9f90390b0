// How a machine comes to know its fleet's CA: it asks `df config` over a connection that proves nothing
// yet, and believes the answer for its signature by the fleet's key, which the join string pins. Who
// has only an address believes the first answer and keeps it.

import { createPublicKey, verify } from "node:crypto";
import { DfError, messageOf } from "../../errors.ts";
import { CONNECT_TIMEOUT_MS } from "../../limits.ts";
import { jsonOrUndefined } from "../json-or-undefined.ts";
import { limitedText } from "../limited-text.ts";
import { isCertificateFault, plainHintOf, tlsFaultOf } from "../tls/tls-fault.ts";
import { type CaAnswer, caAnswerSchema, caStatement } from "../wire/fleet-api.ts";
import type { FleetAddress } from "./membership.ts";

export interface FleetCa {
  /** Null: a `df config` of a version without one. */
  answer: CaAnswer | null;
  /** Whether any machine believes the certificate there: a proxy's, not the fleet's own. */
  isProxied: boolean;
}

/** A PEM text and a signature. */
const ANSWER_BYTES_MAX = 64 << 10;

/**
 * Asks the replicas in turn.
 * @throws {DfError} unavailable, none answers; protocol, tls: who answers is not this fleet
 */
export async function askFleetCa(fleet: FleetAddress, signal: AbortSignal): Promise<FleetCa> {
  let lastError: unknown;
  for (const url of fleet.urls) {
    try {
      const found = await askOne(url, fleet, signal);
      const { fleetKey } = fleet;
      if (found.answer === null && url.startsWith("https:") && !found.isProxied) throw noCa(url);
      if (found.answer !== null && fleetKey !== undefined) requireSigned(found.answer, fleetKey);
      return found;
    } catch (error) {
      signal.throwIfAborted();
      lastError = error;
    }
  }
  if (lastError instanceof DfError) throw lastError;
  throw new DfError("unavailable", `ask df config at ${fleet.urls.join(", ")}: no address`);
}

/** Without a CA nothing would tell its certificate from any other. */
function noCa(url: string): DfError {
  return new DfError("protocol", `ask ${url} for the fleet's CA: it has none`, {
    hint: "another server may have taken that address, or df config runs an older version of df",
  });
}

/** @throws {DfError} protocol, unless the fleet's key signed the CA */
export function requireSigned({ ca, signature }: CaAnswer, fleetKey: string): void {
  const x = Buffer.from(fleetKey, "base64").toString("base64url");
  try {
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    if (verify(null, caStatement(ca), key, Buffer.from(signature, "base64"))) return;
  } catch {
    // A key that is none has signed nothing.
  }
  throw new DfError(
    "protocol",
    "ask for the fleet's CA: who answers does not have the fleet's key",
    {
      hint: "another server may have taken that address; ask the operator for a new join string",
    },
  );
}

async function askOne(
  url: string,
  { isProxied, fleetKey }: FleetAddress,
  signal: AbortSignal,
): Promise<FleetCa> {
  const isTls = url.startsWith("https:");
  if (!isTls) return { answer: await request(url, false, signal), isProxied: false };
  if (isProxied === true) return { answer: await request(url, true, signal), isProxied };
  // With a key the signature decides; without one a certificate that any machine believes is worth more
  // than a first answer. A line that does not say who shows the certificate is of a time when only
  // proxies did.
  if (fleetKey !== undefined && isProxied === false)
    return { answer: await request(url, false, signal), isProxied };
  try {
    return { answer: await request(url, true, signal), isProxied: true };
  } catch (error) {
    if (!(error instanceof DfError) || !isCertificateFault(error.cause)) throw error;
    return { answer: await request(url, false, signal), isProxied: false };
  }
}

async function request(
  url: string,
  isVerified: boolean,
  signal: AbortSignal,
): Promise<CaAnswer | null> {
  const tried = `ask ${url} for the fleet's CA`;
  const response = await fetch(`${url.replace(/\/+$/, "")}/api/v1/ca`, {
    ...(isVerified ? {} : { tls: { rejectUnauthorized: false } }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(CONNECT_TIMEOUT_MS)]),
    redirect: "error",
    proxy: false,
  }).catch((cause: unknown) => {
    signal.throwIfAborted();
    const hint = "the proxy's certificate must be one that this machine believes";
    const fault = tlsFaultOf(cause, tried, hint);
    if (fault !== undefined) throw fault;
    throw new DfError("unavailable", `${tried}: ${messageOf(cause)}`, {
      cause,
      hint: plainHintOf(cause, "check that df config runs and can be reached from here"),
    });
  });
  const text = await limitedText(response, ANSWER_BYTES_MAX).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw new DfError("unavailable", `${tried}: ${messageOf(cause)}`, { cause });
  });
  if (response.status === 404) return null;
  if (response.status >= 500 || response.status === 429) {
    throw new DfError("unavailable", `${tried}: answered with status ${response.status}`);
  }
  const answer = caAnswerSchema.safeParse(jsonOrUndefined(text ?? ""));
  if (answer.success) return answer.data;
  throw new DfError("protocol", `${tried}: the answer is not one of df config`, {
    cause: answer.error,
    hint: "check the address: another server may listen there",
  });
}
