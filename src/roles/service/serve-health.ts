// Health and metrics on an address of their own, for roles whose other doors are not for a monitor.

import type { Hono } from "hono";
import { DfError, messageOf } from "../../errors.ts";
import { bareHost } from "../../net/bare-host.ts";

export interface HealthServer {
  /** "host:port". */
  readonly address: string;
  stop(): Promise<void>;
}

/** @throws {DfError} usage when the address cannot be had */
export function serveHealth(listen: { hostname: string; port: number }, app: Hono): HealthServer {
  try {
    const hostname = bareHost(listen.hostname);
    const server = Bun.serve({
      ...{ hostname, port: listen.port, development: false, reusePort: false },
      fetch: (request) => app.fetch(request),
    });
    return {
      address: `${listen.hostname}:${server.port}`,
      stop: () => server.stop(true),
    };
  } catch (cause) {
    const address = `${listen.hostname}:${listen.port}`;
    throw new DfError("usage", `listen on ${address} for metrics: ${messageOf(cause)}`, {
      cause,
      hint: "choose another --metrics-listen",
    });
  }
}
