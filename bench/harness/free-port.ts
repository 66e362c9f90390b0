// Loopback ports for roles that must be found again at the same address after a restart.

import { createServer } from "node:net";

/** Below the kernel's ephemeral ports (32768 and up), so that no outgoing connection takes one. */
const FIRST = 12_000;
const COUNT = 20_000;

/** A port whose successor is free too: a supernode serves pieces on the next one. */
export async function freePortPair(): Promise<number> {
  for (;;) {
    const port = FIRST + 2 * Math.floor((Math.random() * COUNT) / 2);
    if ((await isFree(port)) && (await isFree(port + 1))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
