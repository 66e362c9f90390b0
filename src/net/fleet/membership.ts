// What makes a machine part of its fleet: a credential, got once for the join string, kept beside the
// machine's data and renewed in time. A machine that has one starts without `df config`.

import { decodeJwt } from "jose";
import { z } from "zod";
import type { Secret } from "../../engine/bytes/secret.ts";
import { DfError, isDfError } from "../../errors.ts";
import type { ServerProof } from "../tls/server-proof.ts";
import { CONFIG_TLS_NAME, type JoinFleetRequest } from "../wire/fleet-api.ts";
import { proveKey } from "../wire/key-proof.ts";
import { CredentialCheck } from "./credential.ts";
import { askFleetCa, requireSigned } from "./fleet-ca.ts";
import { FleetClient } from "./fleet-client.ts";
import { type FleetTrust, fleetTrustSchema } from "./fleet-trust.ts";
import { KeptJson } from "./kept-json.ts";
import { Pause } from "./pause.ts";

/** Where a fleet is found, from a join string or a bare address. */
export interface FleetAddress {
  /** "http://host:port" or "https://host:port" of each replica of `df config`. */
  urls: readonly string[];
  /** Absent where the fleet lets everybody join. */
  token?: Secret<string> | undefined;
  /** Raw Ed25519, base64. Absent in a bare address: the first answer is believed, and kept. */
  fleetKey?: string | undefined;
  /** Whether a proxy answers there with a certificate that any machine believes. @defaultValue it is tried */
  isProxied?: boolean | undefined;
}

export interface EnterFleetOptions {
  machine: Omit<JoinFleetRequest, "proof">;
  /** Of `machine.publicKey`: PKCS #8 DER, base64. */
  privateKey: Secret<string>;
  /** The file in which the credential is kept. */
  path: string;
  /** How long a `df config` that does not answer is tried. @defaultValue 0: once */
  patienceMs?: number;
  /** How long after a renewal that was due the next one is tried. @defaultValue 60,000 */
  renewalRetryMs?: number;
}

const keptSchema = z.object({
  urls: z.array(z.string()),
  credential: z.string(),
  cluster: z.string(),
  fleetKey: z.string(),
  ...fleetTrustSchema.shape,
});
type Kept = z.infer<typeof keptSchema>;

const JOIN_RETRY_MS = 500;

/** Renewed once this share of its life is left: half a year of chances before it ends. */
const RENEWAL_SHARE = 1 / 2;
const RENEWAL_RETRY_MS = 60_000;

export class Membership {
  readonly #fleet: FleetAddress;
  readonly #options: EnterFleetOptions;
  readonly #file: KeptJson<typeof keptSchema>;
  #kept: Kept;
  #renewNotBeforeMs = 0;
  readonly #renewedListeners = new Set<() => void>();

  constructor(
    fleet: FleetAddress,
    options: EnterFleetOptions,
    { file, kept }: { file: KeptJson<typeof keptSchema>; kept: Kept },
  ) {
    this.#fleet = fleet;
    this.#options = options;
    this.#file = file;
    this.#kept = kept;
  }

  get credential(): string {
    return this.#kept.credential;
  }

  get cluster(): string {
    return this.#kept.cluster;
  }

  /** Raw Ed25519, base64: by it the fleet's credentials are checked. */
  get fleetKey(): string {
    return this.#kept.fleetKey;
  }

  /** What this machine believes its fleet by. */
  get trust(): FleetTrust {
    const { ca, isProxied, clusterKey, secrets } = this.#kept;
    return { ca, isProxied, clusterKey, secrets };
  }

  /** A client that shows this credential, and that takes no other server for `df config`. */
  client(): FleetClient {
    return new FleetClient({
      urls: this.#fleet.urls,
      credential: () => this.credential,
      proof: () => configProofOf(this.#kept),
    });
  }

  /** Hears that credential and certificate are others. */
  onRenewed(listener: () => void): void {
    this.#renewedListeners.add(listener);
  }

  /** Renews the credential where that is due; one that cannot be renewed now is used to its end. */
  async renewIfDue(signal: AbortSignal): Promise<void> {
    const { iat = 0, exp = Infinity } = decodeJwt(this.credential);
    const isDue = exp - Date.now() / 1_000 < (exp - iat) * RENEWAL_SHARE;
    const { ca, clusterKey } = this.#kept;
    const isIncomplete = ca === null || clusterKey === null;
    if (!isDue && !isIncomplete) return;
    if (performance.now() < this.#renewNotBeforeMs) return;
    const { renewalRetryMs = RENEWAL_RETRY_MS } = this.#options;
    this.#renewNotBeforeMs = performance.now() + renewalRetryMs;
    try {
      if (isDue || (await this.#canComplete(signal))) await this.renew(signal);
    } catch (error) {
      if (!isDfError(error) && !signal.aborted) throw error;
    }
  }

  /**
   * Whether the fleet has by now what is missing here. Machines are brought up to date before their
   * `df config` as often as after it, and each credential that is made is a row of its database.
   */
  async #canComplete(signal: AbortSignal): Promise<boolean> {
    return (await askFleetCa(this.#pinned, signal)).answer !== null;
  }

  get #pinned(): FleetAddress {
    const { ca, isProxied, fleetKey } = this.#kept;
    // Without a CA it was kept by a version that knew no difference.
    return { ...this.#fleet, fleetKey, isProxied: ca === null ? undefined : isProxied };
  }

  /**
   * Renews it now. The token is not asked again: a machine that was shut out must not come back by it.
   * @throws {DfError} as enterFleet
   */
  async renew(signal: AbortSignal): Promise<void> {
    const { ca, clusterKey } = this.#kept;
    const told = await join(this.#pinned, this.#options, this.credential, signal);
    // A fleet that has these never goes without; whoever leaves them out has something in mind.
    this.#kept = { ...told, ca: told.ca ?? ca, clusterKey: told.clusterKey ?? clusterKey };
    // What cannot be kept counts all the same.
    for (const listener of this.#renewedListeners) listener();
    await this.#file.write(this.#kept);
  }
}

/**
 * Makes this machine part of the fleet, or reads that it already is.
 * @throws {DfError} unavailable; unauthorized, denied (the token); protocol;
 * file-unwritable
 */
export async function enterFleet(
  fleet: FleetAddress,
  options: EnterFleetOptions,
  signal: AbortSignal,
): Promise<Membership> {
  const file = new KeptJson(options.path, keptSchema);
  const known = await file.read();
  if (known !== null && (await isOfFleet(known, fleet, options.machine))) {
    return new Membership(fleet, options, { file, kept: known });
  }
  const kept = await joinPatiently(fleet, options, signal);
  await file.write(kept);
  return new Membership(fleet, options, { file, kept });
}

/** Whether a credential that was kept is one for this fleet and machine, and not at its end. */
async function isOfFleet(
  kept: Kept,
  fleet: FleetAddress,
  { hostId, role }: EnterFleetOptions["machine"],
): Promise<boolean> {
  const isSame =
    fleet.fleetKey === undefined
      ? kept.urls.some((url) => fleet.urls.includes(url))
      : fleet.fleetKey === kept.fleetKey;
  if (!isSame) return false;
  return new CredentialCheck(kept.fleetKey).check(kept.credential).then(
    (credential) => credential.hostId === hostId && credential.role === role,
    () => false,
  );
}

async function joinPatiently(
  fleet: FleetAddress,
  options: EnterFleetOptions,
  signal: AbortSignal,
): Promise<Kept> {
  const untilMs = performance.now() + (options.patienceMs ?? 0);
  for (;;) {
    try {
      return await join(fleet, options, fleet.token?.reveal(), signal);
    } catch (error) {
      signal.throwIfAborted();
      const mayPass = isDfError(error) && error.isRetryable;
      if (!mayPass || performance.now() >= untilMs) throw error;
    }
    await new Pause().wait(JOIN_RETRY_MS, signal);
  }
}

/** @throws {DfError} protocol when the answer is not this fleet's */
async function join(
  fleet: FleetAddress,
  { machine, privateKey }: EnterFleetOptions,
  bearer: string | undefined,
  signal: AbortSignal,
): Promise<Kept> {
  const { answer: vouched, isProxied } = await askFleetCa(fleet, signal);
  const ca = vouched?.ca ?? null;
  const proof = (): ServerProof | null => configProofOf({ ca, isProxied });
  const proven = { ...machine, proof: proveKey("join", { hostId: machine.hostId, privateKey }) };
  const answer = await new FleetClient({ urls: fleet.urls, proof }).join(proven, bearer, signal);
  if (fleet.fleetKey !== undefined && fleet.fleetKey !== answer.fleetKey) {
    throw new DfError("protocol", "join the fleet: who answers does not have the fleet's key", {
      hint: "another fleet may have taken that address; ask the operator for a new join string",
    });
  }
  const { hostId } = await new CredentialCheck(answer.fleetKey).check(answer.credential);
  if (hostId !== machine.hostId) {
    throw new DfError("protocol", "join the fleet: the credential is for another host");
  }
  // Without a pinned key the CA was believed first: it must be this fleet's all the same.
  if (vouched !== null) requireSigned(vouched, answer.fleetKey);
  const { credential, cluster, fleetKey, clusterKey = null, secrets = null } = answer;
  const trust: FleetTrust = { ca, isProxied, clusterKey, secrets };
  return { urls: [...fleet.urls], credential, cluster, fleetKey, ...trust };
}

/** What replicas with an "https:" address must show; null: what any server must. */
function configProofOf({
  ca,
  isProxied,
}: Pick<FleetTrust, "ca" | "isProxied">): ServerProof | null {
  return isProxied || ca === null ? null : { ca, serverName: CONFIG_TLS_NAME };
}
