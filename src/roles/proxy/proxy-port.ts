// The composition of the proxy's port: a front that takes connections, and the handler that answers.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { DfError } from "../../errors.ts";
import type { EgressGuard } from "../../net/egress/egress-guard.ts";
import type { LocalApi } from "../../net/local/local-server.ts";
import type { ProxyHandler } from "../../net/proxy/proxied-request.ts";
import type { ProxyOptions } from "./proxy-options.ts";
import { registryMirror } from "./registry-mirror.ts";

export interface ProxyPortOptions extends ProxyOptions {
  /** The peer of this process. */
  local: LocalApi;
  /** Through here goes what is passed through. */
  egress: EgressGuard;
  onWarning: (message: string) => void;
}

export interface RunningProxyPort {
  /** "host:port" */
  readonly address: string;
  stop(): Promise<void>;
}

/** @throws {DfError} denied when the port is taken, or not ours to take */
export async function startProxyPort(options: ProxyPortOptions): Promise<RunningProxyPort> {
  const { hostname } = options.listen;
  const handler: ProxyHandler = registryMirror(options);
  const server = createServer((message, response) => void handle(handler, message, response));
  await listening(server, options.listen);
  const { port } = server.address() as AddressInfo;
  return {
    address: `${hostname}:${port}`,
    stop: async () => {
      server.closeAllConnections();
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      await promise;
    },
  };
}

async function listening(
  server: Server,
  { hostname, port }: { hostname: string; port: number },
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", (cause: Error) => {
    reject(
      new DfError("denied", `listen on ${hostname}:${port} for container engines`, {
        cause,
        hint: "another program has the port: choose one with --proxy-listen, or off",
      }),
    );
  });
  server.listen(port, hostname.replace(/^\[|\]$/g, ""), resolve);
  await promise;
}

async function handle(
  handler: ProxyHandler,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const left = new AbortController();
  response.once("close", () => left.abort());
  const url = new URL(message.url ?? "/", `http://${message.headers.host ?? "localhost"}`);
  await handler({ form: "origin", url, message, signal: left.signal }, response);
}
