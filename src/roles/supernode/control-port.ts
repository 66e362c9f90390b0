// The supernode's control port: swarm channels of peers and of other supernodes, and its HTTP side.

import { DfError, messageOf } from "../../errors.ts";
import { CONTROL_MESSAGE_BYTES_MAX } from "../../limits.ts";
import { RenewableServer, type ServerTls } from "../../net/tls/renewable-server.ts";
import { PeerChannel, swarmSockets } from "../../net/swarm/swarm-server.ts";
import { WaitingChannels } from "../../net/swarm/waiting-channels.ts";
import { bracketed } from "./connected-peer.ts";
import type { Hall } from "./hall.ts";
import { formatAddress, type ListenAddress } from "../command-line/listen-address.ts";
import type { SupernodeFleet } from "./supernode-fleet.ts";
import { supernodeRoutes, type SupernodeStatus } from "./status.ts";

/**
 * @param fleet whose certificate it shows; null, or one without: plain HTTP
 * @throws {DfError} usage when the address is in use
 */
export function listenForPeers(
  { listen, fleet }: { listen: ListenAddress; fleet: SupernodeFleet | null },
  hall: Hall,
  status: () => SupernodeStatus,
) {
  let isReady = true;
  const app = supernodeRoutes({
    status,
    isReady: () => isReady,
    identify: fleet?.identify ?? null,
    holdingOf: (taskId) => hall.cluster.holdingOf(taskId),
    freshnessOf: (task) => hall.registry.freshnessOf(task),
  });
  const waitingRoom = new WaitingChannels<PeerChannel>();
  const serve = (port: number, tls: ServerTls | null): Bun.Server<PeerChannel> =>
    Bun.serve<PeerChannel>({
      hostname: listen.hostname,
      port,
      ...(tls === null ? {} : { tls }),
      development: false,
      // Bun shares a port between processes unless it is told not to.
      reusePort: false,
      maxRequestBodySize: CONTROL_MESSAGE_BYTES_MAX,
      websocket: swarmSockets,
      fetch(request, server) {
        const url = new URL(request.url);
        const remoteAddress = server.requestIP(request)?.address ?? "";
        if (url.pathname !== "/v1/swarm" || !isReady) return app.fetch(request, { remoteAddress });
        const origin = { remoteAddress, reachedAs: url.hostname || bracketed(remoteAddress) };
        const data = new PeerChannel(hall.desk, origin, waitingRoom);
        if (server.upgrade(request, { data })) return undefined;
        const message = "open a swarm channel: this is no WebSocket request";
        return Response.json({ error: { code: "usage", message } }, { status: 426 });
      },
    });
  try {
    const server = new RenewableServer(serve, listen.port, fleet?.tls ?? null);
    fleet?.onCertificate((tls) => server.renew(tls));
    return {
      port: server.port,
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
