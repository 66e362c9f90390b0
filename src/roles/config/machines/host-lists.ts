// Each host's list of supernodes as it was made last. A host asks the same question every minute; its
// answer costs a third as much as long as neither the question nor the fleet has changed.

import type { RoutedHost, RoutedSupernode } from "../../../engine/core/routing.ts";
import { parseAddressWords } from "../../../net/fleet/address-words.ts";
import type { RouteRequest } from "../../../net/wire/fleet-api.ts";
import type { FleetView } from "../fleet-view.ts";

/** What of a request the list depends on. */
type Question = Pick<RouteRequest, "hostname" | "addresses" | "labels" | "latencyMs"> & {
  cluster: string | null;
};

interface KnownList {
  question: Question;
  supernodes: RoutedSupernode[];
}

/** Some 2 KB each; all are forgotten at once, which costs making them once more. */
const LISTS_MAX = 50_000;

export class HostLists {
  readonly #view: FleetView;
  /** By host ID; of `#version` alone. */
  #known = new Map<string, KnownList>();
  #version = 0;

  constructor(view: FleetView) {
    this.#view = view;
  }

  /** The host's supernodes, best first, as the fleet is now. @param cluster of its credential */
  listFor(request: RouteRequest, cluster: string | null): readonly RoutedSupernode[] {
    if (this.#version !== this.#view.version || this.#known.size >= LISTS_MAX) {
      this.#known = new Map();
      this.#version = this.#view.version;
    }
    const { hostId, hostname, addresses, labels, latencyMs } = request;
    const question = { hostname, addresses, labels, latencyMs, cluster };
    const known = this.#known.get(hostId);
    if (known !== undefined && Bun.deepEquals(known.question, question)) return known.supernodes;
    const supernodes = this.#view.routing.route(routed(hostId, question));
    this.#known.set(hostId, { question, supernodes });
    return supernodes;
  }
}

function routed(hostId: string, { cluster, addresses, ...told }: Question): RoutedHost {
  return {
    ...{ hostId, ...told, cluster: cluster ?? undefined },
    addresses: addresses.map(parseAddressWords).filter((address) => address !== null),
  };
}
