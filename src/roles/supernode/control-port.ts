// The supernode's control port: swarm channels of peers and of other supernodes, and its HTTP side.

import { DfError, messageOf } from "../../errors.ts";
import { PeerChannel, swarmSockets } from "../../net/swarm/swarm-server.ts";
import { bracketed } from "./connected-peer.ts";
import type { Hall } from "./hall.ts";
import { formatAddress, type ListenAddress } from "./listen-address.ts";
import { supernodeRoutes, type SupernodeStatus } from "./status.ts";

/** @throws {DfError} usage when the address is in use */
export function listenForPeers(listen: ListenAddress, hall: Hall, status: () => SupernodeStatus) {
  let isReady = true;
  const app = supernodeRoutes({
    status,
    isReady: () => isReady,
    holdingOf: (taskId) => hall.cluster.holdingOf(taskId),
    freshnessOf: (task) => hall.registry.freshnessOf(task),
  });
  const serve = () =>
    Bun.serve<PeerChannel>({
      hostname: listen.hostname,
      port: listen.port,
      development: false,
      // Bun shares a port between processes unless it is told not to.
      reusePort: false,
      websocket: swarmSockets,
      fetch(request, server) {
        const url = new URL(request.url);
        if (url.pathname !== "/v1/swarm" || !isReady) return app.fetch(request);
        const remoteAddress = server.requestIP(request)?.address ?? "";
        const origin = { remoteAddress, reachedAs: url.hostname || bracketed(remoteAddress) };
        const data = new PeerChannel(hall.desk, origin);
        if (server.upgrade(request, { data })) return undefined;
        const message = "open a swarm channel: this is no WebSocket request";
        return Response.json({ error: { code: "usage", message } }, { status: 426 });
      },
    });
  try {
    const server = serve();
    return {
      port: server.port ?? listen.port,
      status,
      close: () => {
        isReady = false;
      },
      stop: () => server.stop(true),
    };
  } catch (cause) {
    const address = formatAddress(listen.hostname, listen.port);
    throw new DfError("usage", `listen on ${address}: ${messageOf(cause)}`, {
      cause,
      hint: "another process may listen there; choose another port with --listen",
    });
  }
}
