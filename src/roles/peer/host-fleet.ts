// A host's part in its fleet: what makes it a member, and the list of supernodes that the fleet has
// for it, handed to the channels whenever it changes. A `df config` that is down when the host comes
// for the first time is tried until it answers; the host serves its readers meanwhile.

import { hostname } from "node:os";
import { join } from "node:path";
import { version } from "../../../package.json";
import { isDfError, messageOf } from "../../errors.ts";
import { enterFleet, type FleetAddress, type Membership } from "../../net/fleet/membership.ts";
import { addressTowards, ownAddresses } from "../../net/fleet/own-addresses.ts";
import { Pause } from "../../net/fleet/pause.ts";
import { RoutesWatch } from "../../net/fleet/routes-watch.ts";
import type { Labels } from "../../net/wire/fleet-api.ts";
import { proveKey } from "../../net/wire/key-proof.ts";
import type { ShownMembership } from "../../net/wire/swarm-messages.ts";
import type { HostIdentity } from "./host-identity.ts";
import type { ListedSupernode } from "./supernodes.ts";

export interface HostFleetOptions {
  fleet: FleetAddress;
  identity: HostIdentity;
  labels: Labels;
  dataDir: string;
  onList: (list: readonly ListedSupernode[]) => void;
  /** The fleet took this host in, or did before: its keys are known. Called again when it told them anew. */
  onMember: () => void;
  onWarning: (message: string) => void;
}

/** A start waits so long for membership and list: `df config` answers in milliseconds, or is down. */
const START_PATIENCE_MS = 3_000;

/** First pause before another try to join; doubled by every failure, always jittered. */
const JOIN_PAUSE_MS = 500;
const JOIN_PAUSE_MS_MAX = 60_000;

export class HostFleet {
  readonly #options: HostFleetOptions;
  readonly #stopped = new AbortController();
  #membership: Membership | undefined;
  #routes: RoutesWatch | undefined;
  #entering: Promise<void> | undefined;

  constructor(options: HostFleetOptions) {
    this.#options = options;
  }

  /** By which the fleet knows this host; undefined: it has not joined yet. */
  get credential(): string | undefined {
    return this.#membership?.credential;
  }

  /** What this host's hellos say of it: its credential, and that the key is its own; nothing before it joined. */
  shown(): ShownMembership | undefined {
    const { credential } = this;
    if (credential === undefined) return undefined;
    return { credential, proof: proveKey("hello", this.#options.identity) };
  }

  /** PEM: who vouches for the fleet's supernodes; null: not joined yet, or nobody. */
  get ca(): string | null {
    return this.#membership?.trust.ca ?? null;
  }

  /** Ed25519 SPKI, base64: by it manifests are checked; null: not joined yet, or the fleet has none. */
  get clusterKey(): string | null {
    return this.#membership?.trust.clusterKey ?? null;
  }

  /**
   * Returns with a list of supernodes, kept or fresh, or after some patience without one.
   * @throws {DfError} unauthorized, denied, protocol, file-unwritable: another try would not help
   */
  async start(): Promise<void> {
    const { signal } = this.#stopped;
    const entering = this.#enter(signal);
    const patience = new AbortController();
    try {
      const isOver = new Pause().wait(
        START_PATIENCE_MS,
        AbortSignal.any([signal, patience.signal]),
      );
      await Promise.race([entering, isOver]);
    } finally {
      patience.abort();
    }
    this.#entering = entering.catch((error: unknown) => this.#options.onWarning(messageOf(error)));
  }

  /** A supernode says that the fleet's lists changed. */
  routesChanged(version: number): void {
    this.#routes?.changed(version);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#entering;
    await this.#routes?.stop();
  }

  async #enter(signal: AbortSignal): Promise<void> {
    const membership = await this.#join(signal);
    if (membership === null) return;
    this.#membership = membership;
    const { fleet, labels, identity, dataDir, onList, onMember, onWarning } = this.#options;
    onMember();
    membership.onRenewed(onMember);
    const towardsConfig = await addressTowards(fleet.urls, signal);
    if (signal.aborted) return;
    const host = { hostId: identity.hostId, hostname: ownHostname(), version, labels };
    this.#routes = new RoutesWatch({
      membership,
      host: () => ({ ...host, addresses: ownAddresses(towardsConfig) }),
      path: join(dataDir, "supernodes.json"),
      onList: (list) =>
        onList(
          list.map(({ hostId, address, cluster, isTls = false }) => ({
            ...{ key: hostId, address, cluster, isTls },
          })),
        ),
      onWarning,
    });
    await this.#routes.start();
  }

  /** Tries until it is done; null: stopped before. @throws {DfError} when another try would not help */
  async #join(signal: AbortSignal): Promise<Membership | null> {
    const { fleet, identity, dataDir, onWarning } = this.#options;
    const { hostId, publicKey, privateKey } = identity;
    const machine = { role: "peer" as const, hostId, publicKey, hostname: ownHostname(), version };
    const path = join(dataDir, "membership.json");
    for (let failures = 0; ; failures++) {
      try {
        return await enterFleet(fleet, { machine, privateKey, path }, signal);
      } catch (error) {
        if (signal.aborted) return null;
        if (!isDfError(error) || !error.isRetryable) throw error;
        if (failures === 0) onWarning(`${error.message}; it is tried again`);
      }
      const ceilingMs = Math.min(JOIN_PAUSE_MS_MAX, JOIN_PAUSE_MS * 2 ** failures);
      await new Pause().wait(Math.random() * ceilingMs, signal);
    }
  }
}

function ownHostname(): string {
  return hostname().slice(0, 255);
}
