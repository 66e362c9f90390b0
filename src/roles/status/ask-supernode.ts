// Asks a supernode how it is, by its address alone. One that speaks TLS is believed by the fleet's CA; a bare
// address is first tried as a supernode without a fleet answers there, since the question tells nothing.

import { DfError, messageOf } from "../../errors.ts";
import type { ServerProof } from "../../net/tls/server-proof.ts";
import { tlsOptionsOf } from "../../net/tls/server-proof.ts";
import { httpUrlOf } from "../../net/tls/supernode-endpoint.ts";
import { tlsFaultOf } from "../../net/tls/tls-fault.ts";
import { SUPERNODE_TLS_NAME } from "../../net/wire/fleet-api.ts";
import { CA_HINT, readCa } from "../command-line/ca-flag.ts";
import type { ParsedFlags } from "../command-line/flags.ts";
import { readOwnService } from "../config/config-dir.ts";
import type { SupernodeStatus } from "../supernode/status.ts";

/** A supernode answers at once or is in trouble. */
const TIMEOUT_MS = 5_000;

/**
 * @param text "host:port", or a URL
 * @throws {DfError} unavailable; tls, it does not prove itself
 */
export async function askSupernode(text: string, flags: ParsedFlags): Promise<SupernodeStatus> {
  const [, scheme = "", address = text] = /^(https?):\/\/([^/]+)\/?$/.exec(text) ?? [];
  const named = readCa(flags);
  const proof = { ca: named ?? readOwnService()?.ca ?? null, serverName: SUPERNODE_TLS_NAME };
  if (scheme === "https" || (scheme === "" && named !== undefined)) return ask(address, proof);
  try {
    return await ask(address, null);
  } catch (error) {
    // Only one that is there and breaks off may be waiting for TLS.
    if (scheme === "http" || !isBrokenOff(error)) throw error;
    return ask(address, proof);
  }
}

async function ask(address: string, proof: ServerProof | null): Promise<SupernodeStatus> {
  const tried = `ask supernode ${address}`;
  try {
    const answer = await fetch(httpUrlOf({ address, proof }, "/v1/status"), {
      ...tlsOptionsOf(proof),
      signal: AbortSignal.timeout(TIMEOUT_MS),
      proxy: false,
    });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    return (await answer.json()) as SupernodeStatus;
  } catch (cause) {
    const fault = tlsFaultOf(cause, tried, CA_HINT);
    if (fault !== undefined) throw fault;
    throw new DfError("unavailable", `${tried}: ${messageOf(cause)}`, {
      cause,
      hint: "write --supernode HOST:PORT of its control port, 8002 by default",
    });
  }
}

function isBrokenOff(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause && cause.code === "ECONNRESET";
}
