// Opens a relayed connection's second leg: to a socket file, or to a host's port, wherever that is but where
// the peer would not lead either: links, clouds' metadata, addresses of nobody.

import { DfError, messageOf } from "../../errors.ts";
import { addressRefusal, DEFAULT_EGRESS } from "../../net/egress/egress-policy.ts";
import { resolveAsSystem } from "../../net/egress/resolve-name.ts";
import { Leg } from "./leg.ts";

interface Place {
  hostname: string;
  port: number;
}
export type Destination = { unix: string } | Place;

/** Only programs of this host are led anywhere. */
const POLICY = { ...DEFAULT_EGRESS, reach: "host" } as const;

/**
 * @param deadlineMs for name and connection together
 * @throws {DfError} denied; Error of the system; Error "no answer within … s"
 */
export async function dial(destination: Destination, deadlineMs: number): Promise<Leg> {
  const { promise, resolve, reject } = Promise.withResolvers<Leg>();
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = true;
    reject(new Error(`no answer within ${deadlineMs / 1000} s`));
  }, deadlineMs);
  const options = {
    allowHalfOpen: true,
    socket: {
      ...Leg.HANDLERS,
      open: (socket: Bun.Socket<Leg>) => {
        const leg = new Leg(socket);
        // Of several addresses the first that answers.
        if (isOver) leg.terminate();
        else resolve(leg);
        isOver = true;
      },
    },
  };
  const connected =
    "unix" in destination
      ? Bun.connect<Leg>({ ...options, unix: destination.unix })
      : addressesOf(destination).then((addresses) => {
          const { port } = destination;
          return Promise.any(
            addresses.map((hostname) => Bun.connect<Leg>({ ...options, hostname, port })),
          );
        });
  connected.catch(reject);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** Looked up once: what the name means a moment later is not connected to. */
async function addressesOf({ hostname, port }: Place): Promise<string[]> {
  const addresses = (await resolveAsSystem(hostname)).map(({ address }) => address);
  const url = new URL(`http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}/`);
  const isForbidden = addresses.some((address) => addressRefusal(url, address, POLICY) !== null);
  if (isForbidden) throw new DfError("denied", "it is another machine here, or none");
  return addresses;
}

/** Why a connection failed: the runtime's "Failed to connect" alone does not say it. */
export function reasonOf(failure: unknown): string {
  const error: unknown = failure instanceof AggregateError ? failure.errors[0] : failure;
  const code = (error as { code?: string }).code;
  const message = messageOf(error);
  return code === undefined || message.includes(code) ? message : `${message} (${code})`;
}
