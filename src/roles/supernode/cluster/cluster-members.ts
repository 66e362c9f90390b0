// Who the members of this supernode's cluster are, and of the cluster that it takes contents from:
// given once by flags, or live from the fleet.

import type { FleetLink } from "../../../net/fleet/fleet-link.ts";
import { DfError } from "../../../errors.ts";
import { endpointOf, type SupernodeEndpoint } from "../../../net/tls/supernode-endpoint.ts";

/** A member and where its control port is. */
export interface ClusterMember extends SupernodeEndpoint {
  /** What ownership is hashed over, as peers hash it: the host ID in a fleet, else the address. */
  readonly key: string;
}

export interface ClusterMembers {
  /** This supernode's own key among the members. */
  readonly ownKey: string;
  /** Living members, this one among them. */
  readonly all: readonly ClusterMember[];
  /** Living members of the cluster from which contents come instead of from sources; may be empty. */
  readonly upstream: readonly ClusterMember[];
  /** PEM: who vouches for supernodes that speak TLS; null: nobody. */
  readonly ca: string | null;
  /** Hears of changes until the returned function is called. */
  onChange(listener: () => void): () => void;
}

/**
 * The members that flags name, for ever the same.
 * @param own how the others reach this supernode: one of `members`, unless these are none
 * @throws {DfError} usage when `own` is missing among the members, or one is its own upstream
 */
export function listedMembers(
  own: string,
  { members, upstream }: { members: readonly string[]; upstream: readonly string[] },
): ClusterMembers {
  if (members.length > 0 && !members.includes(own)) {
    throw new DfError("usage", `--cluster ${members.join(",")}: ${own} is not one of them`, {
      hint: "name all members, this one as --advertise or --listen says it",
    });
  }
  const circular = upstream.find((address) => address === own || members.includes(address));
  if (circular !== undefined) {
    throw new DfError("usage", `--upstream ${circular}: it is a member of this cluster`, {
      hint: "contents come from another cluster, or without --upstream from their sources",
    });
  }
  const memberOf = (address: string): ClusterMember => ({ key: address, address, proof: null });
  return {
    ownKey: own,
    ca: null,
    all: (members.length > 0 ? members : [own]).map(memberOf),
    upstream: upstream.map(memberOf),
    onChange: () => () => {},
  };
}

/** The members as `df config` tells them. @param ca PEM, as it is known by now; null: none is */
export function fleetMembers(
  link: Pick<FleetLink, "hostId" | "members" | "upstream" | "onChange">,
  ca: () => string | null,
): ClusterMembers {
  const memberOf = (named: FleetLink["members"][number]): ClusterMember => memberNamed(named, ca());
  return {
    ownKey: link.hostId,
    get ca() {
      return ca();
    },
    get all() {
      return link.members.map(memberOf);
    },
    get upstream() {
      return (link.upstream?.members ?? []).map(memberOf);
    },
    onChange: (listener) => link.onChange(listener),
  };
}

/** The address that all can use, else the first. */
function memberNamed(
  { hostId, addresses, isTls }: FleetLink["members"][number],
  ca: string | null,
): ClusterMember {
  const everyones = addresses.find(({ zone }) => zone === undefined) ?? addresses[0];
  const address = everyones?.address ?? "";
  return { key: hostId, ...endpointOf({ address, hostId, isTls }, ca) };
}
