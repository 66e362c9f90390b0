// The proxy's own end of a tunnel: a connection to an address that the egress guard allowed, or through
// the proxy that the operator put before that target.

import { connect, type Socket } from "node:net";
import { DfError, messageOf } from "../../errors.ts";
import { CONNECT_TIMEOUT_MS } from "../../limits.ts";
import type { EgressGuard } from "../egress/egress-guard.ts";
import type { ResolvedAddress } from "../egress/resolve-name.ts";
import { openTunnel } from "../egress/tunnel-agent.ts";
import { portOf } from "../port-of.ts";
import { authorityOf } from "./authority.ts";
import { refusalToClient } from "./forward-request.ts";

/**
 * Tries the target's addresses in turn.
 * @throws {DfError} as EgressGuard.check; network, when none answers
 */
export async function connectTarget(
  url: URL,
  guard: EgressGuard,
  signal: AbortSignal,
): Promise<Socket> {
  const tried = `connect to ${authorityOf(url)}`;
  const target = await guard.check(url, { from: null }, signal).catch((cause: unknown) => {
    if (cause instanceof DfError) throw refusalToClient(cause);
    signal.throwIfAborted();
    throw new DfError("network", `${tried}: ${messageOf(cause)}`, { cause });
  });
  if (target.proxy !== null) return throughProxy(target.proxy, url);
  let last: unknown;
  for (const address of target.addresses) {
    try {
      return await connectOnce(address, portOf(url), signal);
    } catch (error) {
      signal.throwIfAborted();
      last = error;
    }
  }
  throw new DfError("network", `${tried}: ${messageOf(last)}`, { cause: last });
}

function throughProxy(proxy: Parameters<typeof openTunnel>[0], url: URL): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  openTunnel(proxy, authorityOf(url), (error, socket) => {
    if (socket !== undefined) resolve(socket);
    else if (error instanceof DfError) reject(error);
    else reject(new DfError("network", `connect to ${authorityOf(url)}: ${messageOf(error)}`));
  });
  return promise;
}

async function connectOnce(
  { address, family }: ResolvedAddress,
  port: number,
  signal: AbortSignal,
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({ host: address, family, port, allowHalfOpen: true, noDelay: true });
  const giveUp = (): void => {
    socket.destroy();
    reject(new Error(signal.aborted ? "interrupted" : "no connection in time"));
  };
  const late = setTimeout(giveUp, CONNECT_TIMEOUT_MS);
  signal.addEventListener("abort", giveUp, { once: true });
  socket.once("connect", () => resolve(socket));
  socket.once("error", reject);
  if (signal.aborted) giveUp();
  try {
    return await promise;
  } finally {
    clearTimeout(late);
    signal.removeEventListener("abort", giveUp);
  }
}
