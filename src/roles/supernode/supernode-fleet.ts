// A supernode's part in its fleet: what makes it a member, the link over which the fleet speaks to
// it, which hosts it admits, and what it tells of itself and of them.

import { X509Certificate } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import { version } from "../../../package.json";
import { DfError, isDfError } from "../../errors.ts";
import { type Credential, CredentialCheck } from "../../net/fleet/credential.ts";
import { FleetLink, type SupernodeState } from "../../net/fleet/fleet-link.ts";
import { enterFleet, type FleetAddress, type Membership } from "../../net/fleet/membership.ts";
import { addressTowards } from "../../net/fleet/own-addresses.ts";
import type { Admittance, PeerChannel } from "../../net/swarm/swarm-server.ts";
import { type ServerTls, serverTlsOf } from "../../net/tls/renewable-server.ts";
import type { TlsMode } from "../command-line/tls-mode.ts";
import type { Labels, SupernodeSecrets, ZonedAddress } from "../../net/wire/fleet-api.ts";
import { isProven, proveKey } from "../../net/wire/key-proof.ts";
import type { Hello, ShownMembership } from "../../net/wire/swarm-messages.ts";
import { freeBytes } from "../../store/disk-space.ts";
import type { HostIdentity } from "../peer/host-identity.ts";
import type { IdentifyMachine } from "./access.ts";
import type { ConnectedPeer } from "./connected-peer.ts";
import {
  formatAddress,
  isLoopback,
  isUnspecified,
  type ListenAddress,
} from "../command-line/listen-address.ts";
import type { SupernodeStatus } from "./status.ts";
import { loadTlsKey, type TlsKey } from "./tls-key.ts";

/** A `df config` that starts at the same moment is there by then; a service manager tries again. */
const JOIN_PATIENCE_MS = 10_000;

export interface SupernodeFleetOptions {
  fleet: FleetAddress;
  identity: HostIdentity;
  labels: Labels;
  dataDir: string;
  /** Whether hosts without a credential are admitted too. */
  isOpen: boolean;
  /** Whether it speaks TLS; "auto": where others than this machine can reach it. */
  tls: TlsMode;
  listen: ListenAddress;
  onWarning: (message: string) => void;
}

export class SupernodeFleet {
  readonly link: FleetLink;
  readonly #options: SupernodeFleetOptions;
  readonly #membership: Membership;
  readonly #check: CredentialCheck;
  readonly #tlsKey: TlsKey;
  /** Whether the certificate is used. */
  readonly #isTls: boolean;
  readonly #credentials = new WeakMap<PeerChannel, Credential>();
  /** Channels by host: an old one may close after its successor opened. */
  readonly #channels = new Map<string, number>();

  private constructor(
    options: SupernodeFleetOptions,
    { membership, tlsKey }: { membership: Membership; tlsKey: TlsKey },
  ) {
    const { identity, labels, dataDir, onWarning } = options;
    this.#options = options;
    this.#membership = membership;
    this.#tlsKey = tlsKey;
    this.#check = new CredentialCheck(membership.fleetKey);
    this.#isTls = speaksTls(options, membership);
    this.link = new FleetLink({
      membership,
      self: { hostId: identity.hostId, version, labels, isTls: this.#isTls },
      path: join(dataDir, "fleet.json"),
      onWarning,
    });
  }

  /**
   * Joins the fleet, or takes up the membership that is there.
   * @throws {DfError} what enterFleet throws
   */
  static async enter(options: SupernodeFleetOptions, signal: AbortSignal): Promise<SupernodeFleet> {
    const { fleet, identity, dataDir } = options;
    const { hostId, publicKey, privateKey } = identity;
    const tlsKey = loadTlsKey(dataDir);
    const machine = { role: "supernode", hostname: hostname(), version } as const;
    const membership = await enterFleet(
      fleet,
      {
        machine: { ...machine, hostId, publicKey, tlsPublicKey: tlsKey.publicKey },
        privateKey,
        path: join(dataDir, "membership.json"),
        patienceMs: JOIN_PATIENCE_MS,
      },
      signal,
    );
    // What an earlier version kept has no certificate: without one it is plain HTTP until the next start.
    if (membership.trust.secrets === null) await membership.renewIfDue(signal);
    // A key that was lost and made anew has no certificate yet.
    if (!isCertified(tlsKey, membership)) await membership.renew(signal);
    const part = new SupernodeFleet(options, { membership, tlsKey });
    await part.link.recall();
    return part;
  }

  /** What its hellos to other supernodes say: its credential, and that the key is its own. */
  shown(): ShownMembership {
    const { identity } = this.#options;
    return { credential: this.credential, proof: proveKey("hello", identity) };
  }

  /** By which other machines of the fleet know it. */
  get credential(): string {
    return this.#membership.credential;
  }

  /** PEM: who vouches for the fleet's supernodes; null: nobody. */
  get ca(): string | null {
    return this.#membership.trust.ca;
  }

  /** What the control port is to show; null: it speaks plain HTTP. */
  get tls(): ServerTls | null {
    const certificate = this.secrets?.certificate;
    if (!this.#isTls || certificate === undefined) return null;
    return serverTlsOf(this.#tlsKey.privateKey.reveal(), certificate);
  }

  /** Hears of each later certificate. */
  onCertificate(listener: (tls: ServerTls) => void): void {
    this.#membership.onRenewed(() => {
      const { tls } = this;
      if (tls !== null) listener(tls);
    });
  }

  /** Ed25519 SPKI, base64: the public half of `secrets.clusterPrivateKey`; null: the fleet has none. */
  get clusterKey(): string | null {
    return this.#membership.trust.clusterKey;
  }

  /** What the fleet gave this supernode; null: its `df config` is of a version without secrets. */
  get secrets(): SupernodeSecrets | null {
    return this.#membership.trust.secrets;
  }

  /** Lets in who shows a credential of this fleet and holds its key; checked without asking anybody. */
  readonly admit = async (channel: PeerChannel, hello: Hello): Promise<Admittance> => {
    if (hello.credential === undefined) {
      return this.#options.isOpen ? ADMITTED : refused("join the fleet: no credential was shown");
    }
    try {
      const credential = await this.#check.check(hello.credential);
      if (credential.hostId !== hello.hostId) return refused("the credential is another host's");
      // A credential alone may have been overheard or copied.
      if (hello.proof === undefined || !isProven("hello", hello, hello.proof)) {
        return refused("the host does not prove its key, or its clock is off by minutes");
      }
      this.#credentials.set(channel, credential);
      return ADMITTED;
    } catch (error) {
      if (!isDfError(error)) throw error;
      return refused(error.message);
    }
  };

  /** Tells by `Authorization` which machine of the fleet asks over HTTP; null: nobody needs to say. */
  get identify(): IdentifyMachine | null {
    if (this.#options.isOpen) return null;
    return async (authorization) => {
      const bearer = /^Bearer +([\w.-]+)$/i.exec(authorization ?? "")?.[1];
      if (bearer !== undefined) return (await this.#check.check(bearer)).role;
      throw new DfError("unauthorized", "answer the request: it shows no credential of the fleet", {
        hint: "ask on the supernode's own machine, or send a machine's credential: Authorization: Bearer …",
      });
    };
  }

  /** Whether a channel's other end proved that it is a supernode of this fleet. */
  isSupernode(channel: PeerChannel): boolean {
    return this.#credentials.get(channel)?.role === "supernode";
  }

  arrived({ channel }: ConnectedPeer): void {
    const { hostId } = channel.hello;
    const open = (this.#channels.get(hostId) ?? 0) + 1;
    this.#channels.set(hostId, open);
    if (open === 1) this.link.hostsChanged({ arrived: [hostId] });
  }

  departed({ channel }: ConnectedPeer): void {
    const { hostId } = channel.hello;
    const open = (this.#channels.get(hostId) ?? 1) - 1;
    if (open > 0) {
      this.#channels.set(hostId, open);
      return;
    }
    this.#channels.delete(hostId);
    this.link.hostsChanged({ gone: [hostId] });
  }

  /**
   * Tells the fleet from now on how this supernode is, hosts that lists changed, and ends channels of
   * hosts that the fleet shuts out.
   * @param listen where this supernode listens; used where nothing is advertised
   */
  async start(
    { advertised, listen }: { advertised: readonly ZonedAddress[]; listen: ListenedAddress },
    { status, peers }: { status: () => SupernodeStatus; peers: () => Iterable<ConnectedPeer> },
    signal: AbortSignal,
  ): Promise<void> {
    this.#check.revoke(this.link.revoked);
    this.link.onRevoked((revoked) => {
      this.#check.revoke(revoked);
      for (const { channel } of peers()) {
        const credential = this.#credentials.get(channel);
        if (credential === undefined || !this.#check.isRevoked(credential)) continue;
        channel.refuse("the credential was revoked");
      }
    });
    this.link.onRoutes((version) => {
      for (const { channel } of peers()) channel.send({ type: "routes", version });
    });
    const addresses = advertised.length > 0 ? advertised : [await this.#addressOf(listen, signal)];
    const describe = stateReporter(addresses, status, this.#options.dataDir);
    await this.link.start(describe);
  }

  stop(): Promise<void> {
    return this.link.stop();
  }

  /** One that listens on every address is reached at the one from which it reaches `df config`. */
  async #addressOf({ hostname, port }: ListenedAddress, signal: AbortSignal) {
    const reached = isUnspecified(hostname)
      ? await addressTowards(this.#options.fleet.urls, signal)
      : hostname;
    return { address: formatAddress(reached ?? hostname, port) };
  }
}

interface ListenedAddress {
  hostname: string;
  port: number;
}

const PLAIN_WARNING =
  "PLAIN HTTP (--tls off): whoever is on the way reads the credentials of hosts and can change what is said";

/** @throws {DfError} unavailable, where TLS is demanded and the fleet gave no certificate */
function speaksTls(
  { tls, listen, onWarning }: SupernodeFleetOptions,
  { trust }: Membership,
): boolean {
  if (tls !== "on" && isLoopback(listen.hostname)) return false;
  if (tls === "off") {
    onWarning(PLAIN_WARNING);
    return false;
  }
  if (trust.secrets?.certificate !== undefined && trust.ca !== null) return true;
  const because = "df config gave no certificate; it may run an older version of df";
  if (tls === "on") throw new DfError("unavailable", `speak TLS: ${because}`);
  onWarning(`speaking plain HTTP: ${because}`);
  return false;
}

/** Whether the fleet's certificate is for this key; a fleet that gives none has nothing to renew. */
function isCertified({ publicKey }: TlsKey, { trust }: Membership): boolean {
  const certificate = trust.secrets?.certificate;
  if (certificate === undefined) return true;
  const certified = new X509Certificate(certificate).publicKey;
  return certified.export({ type: "spki", format: "der" }).toString("base64") === publicKey;
}

const ADMITTED: Admittance = { isAdmitted: true };

function refused(reason: string): Admittance {
  return { isAdmitted: false, reason };
}

/** Rates are means since the heartbeat before. */
function stateReporter(
  addresses: readonly ZonedAddress[],
  status: () => SupernodeStatus,
  dataDir: string,
): () => Promise<SupernodeState> {
  let before = { ms: performance.now(), uploadedBytes: 0, sourceBytes: 0 };
  return async () => {
    const { peers, contents, store, uploadedBytes, sourceBytes } = status();
    const ms = performance.now();
    const seconds = Math.max(1, ms - before.ms) / 1_000;
    const perSecond = (now: number, then: number): number =>
      Math.max(0, Math.round((now - then) / seconds));
    const load = {
      peers,
      downloads: contents.reduce((sum, { children }) => sum + children, 0),
      uploadBytesPerSec: perSecond(uploadedBytes, before.uploadedBytes),
      sourceBytesPerSec: perSecond(sourceBytes, before.sourceBytes),
    };
    before = { ms, uploadedBytes, sourceBytes };
    const { usedBytes, quotaBytes } = store;
    return {
      addresses: [...addresses],
      load,
      disk: { usedBytes, quotaBytes, freeBytes: await freeBytes(dataDir) },
      contents: contents.length,
    };
  };
}
