// Asks a supernode how it is, by its address alone. One that speaks TLS is believed by the fleet's CA, and
// shown the credential of this machine; a bare address is first tried as a supernode without a fleet answers
// there, since the question tells nothing.

import type { Secret } from "../../engine/bytes/secret.ts";
import { DfError, isDfError, messageOf, type WireError } from "../../errors.ts";
import { bearerOf } from "../../net/fleet/credential.ts";
import type { ServerProof } from "../../net/tls/server-proof.ts";
import { tlsOptionsOf } from "../../net/tls/server-proof.ts";
import { httpUrlOf } from "../../net/tls/supernode-endpoint.ts";
import { tlsFaultOf } from "../../net/tls/tls-fault.ts";
import { SUPERNODE_TLS_NAME } from "../../net/wire/fleet-api.ts";
import { CA_HINT, readCa } from "../command-line/ca-flag.ts";
import type { ParsedFlags } from "../command-line/flags.ts";
import { readOwnService } from "../config/config-dir.ts";
import type { SupernodeStatus } from "../supernode/status.ts";
import { readOwnMembership } from "./own-membership.ts";

/** A supernode answers at once or is in trouble. */
const TIMEOUT_MS = 5_000;

/**
 * @param text "host:port", or a URL
 * @throws {DfError} unavailable; tls, it does not prove itself
 */
export async function askSupernode(text: string, flags: ParsedFlags): Promise<SupernodeStatus> {
  const [, scheme = "", address = text] = /^(https?):\/\/([^/]+)\/?$/.exec(text) ?? [];
  const named = readCa(flags);
  const own = readOwnMembership();
  const ca = named ?? readOwnService()?.ca ?? own?.ca ?? null;
  const proof = { ca, serverName: SUPERNODE_TLS_NAME };
  // Only for one whom this machine's own fleet vouches for: who mistypes a host must not send it there.
  const credential = ca !== null && ca.trim() === own?.ca?.trim() ? own.credential : undefined;
  const askProven = (): Promise<SupernodeStatus> => ask(address, proof, credential);
  if (scheme === "https" || (scheme === "" && named !== undefined)) return askProven();
  try {
    return await ask(address, null, undefined);
  } catch (error) {
    // Only one that is there and breaks off may be waiting for TLS.
    if (scheme === "http" || !isBrokenOff(error)) throw error;
    return askProven();
  }
}

async function ask(
  address: string,
  proof: ServerProof | null,
  credential: Secret<string> | undefined,
): Promise<SupernodeStatus> {
  const tried = `ask supernode ${address}`;
  try {
    const answer = await fetch(httpUrlOf({ address, proof }, "/v1/status"), {
      ...tlsOptionsOf(proof),
      ...bearerOf(credential?.reveal()),
      signal: AbortSignal.timeout(TIMEOUT_MS),
      proxy: false,
      redirect: "error",
    });
    if (answer.status === 401) throw refusalOf(tried, await answer.json());
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    return (await answer.json()) as SupernodeStatus;
  } catch (cause) {
    if (isDfError(cause)) throw cause;
    const fault = tlsFaultOf(cause, tried, CA_HINT);
    if (fault !== undefined) throw fault;
    throw new DfError("unavailable", `${tried}: ${messageOf(cause)}`, {
      cause,
      hint: "write --supernode HOST:PORT of its control port, 8002 by default",
    });
  }
}

function refusalOf(tried: string, answer: unknown): DfError {
  const { message } = DfError.fromWire((answer as { error: WireError }).error);
  return new DfError("unauthorized", `${tried}: ${message}`, {
    hint: "ask on a machine of the fleet as the user of its service, or df config: df status --fleet",
  });
}

function isBrokenOff(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause && cause.code === "ECONNRESET";
}
