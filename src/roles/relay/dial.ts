// Opens a relayed connection's second leg: to a socket file, or to a host's port.

import { messageOf } from "../../errors.ts";
import { Leg } from "./leg.ts";

export type Destination = { unix: string } | { hostname: string; port: number };

/**
 * @param deadlineMs for name and connection together
 * @throws Error of the system; Error "no answer within … s"
 */
export async function dial(destination: Destination, deadlineMs: number): Promise<Leg> {
  const { promise, resolve, reject } = Promise.withResolvers<Leg>();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    reject(new Error(`no answer within ${deadlineMs / 1000} s`));
  }, deadlineMs);
  const options = {
    allowHalfOpen: true,
    socket: {
      ...Leg.HANDLERS,
      open: (socket: Bun.Socket<Leg>) => {
        const leg = new Leg(socket);
        if (isLate) leg.terminate();
        else resolve(leg);
      },
    },
  };
  const connected =
    "unix" in destination
      ? Bun.connect<Leg>({ ...options, unix: destination.unix })
      : Bun.connect<Leg>({ ...options, ...destination });
  connected.catch(reject);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** Why a connection failed: the runtime's "Failed to connect" alone does not say it. */
export function reasonOf(error: unknown): string {
  const code = (error as { code?: string }).code;
  const message = messageOf(error);
  return code === undefined || message.includes(code) ? message : `${message} (${code})`;
}
