// Opens a relayed connection's second leg: to a socket file, or to a host's port.

import { Leg } from "./leg.ts";

export type Destination = { unix: string } | { hostname: string; port: number };

/**
 * @param deadlineMs for name and connection together
 * @throws Error of the system; Error "no answer within … s"
 */
export async function dial(destination: Destination, deadlineMs: number): Promise<Leg> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`no answer within ${deadlineMs / 1000} s`)),
    deadlineMs,
  );
  const connected = Bun.connect<Leg>({
    ...destination,
    allowHalfOpen: true,
    socket: { ...Leg.HANDLERS, open: (socket) => void new Leg(socket) },
  });
  let isInTime = false;
  connected.then(
    (socket) => {
      if (!isInTime) socket.terminate();
    },
    () => {},
  );
  try {
    const socket = await Promise.race([connected, late.promise]);
    isInTime = true;
    return socket.data;
  } finally {
    clearTimeout(timer);
  }
}
