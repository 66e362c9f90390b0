// Where a peer reaches this supernode's pieces: as advertised, else as it reached the control port.

import type { ChannelOrigin } from "../../net/swarm/swarm-server.ts";
import { bracketed } from "./connected-peer.ts";
import {
  type AdvertisedAddress,
  formatAddress,
  isUnspecified,
} from "../command-line/listen-address.ts";
import type { SupernodeOptions } from "./supernode-options.ts";

/** "host:port" of the piece server that listens on `piecePort`, by who asks. */
export function pieceAddressFor(
  { listen, pieceListen, advertise }: SupernodeOptions,
  piecePort: number,
): (origin: ChannelOrigin) => string {
  const { hostname } = pieceListen ?? listen;
  return (origin) => {
    const advertised = advertisedTo(origin, advertise);
    if (advertised !== undefined) {
      // A forwarder moves both ports alike.
      const moved = listen.port === 0 || advertised.port === 0 ? 0 : advertised.port - listen.port;
      return formatAddress(advertised.hostname, piecePort + moved);
    }
    if (isUnspecified(hostname)) return `${origin.reachedAs}:${piecePort}`;
    return formatAddress(hostname, piecePort);
  };
}

/** The address under which the peer reached us, else the one for all. */
function advertisedTo(
  { reachedAs }: ChannelOrigin,
  advertise: readonly AdvertisedAddress[],
): AdvertisedAddress | undefined {
  return (
    advertise.find(({ hostname }) => bracketed(hostname) === reachedAs) ??
    advertise.find(({ zone }) => zone === undefined) ??
    advertise[0]
  );
}
