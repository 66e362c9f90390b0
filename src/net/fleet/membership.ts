// What makes a machine part of its fleet: a credential, got once for the join string, kept beside the
// machine's data and renewed in time. A machine that has one starts without `df config`.

import { decodeJwt } from "jose";
import { z } from "zod";
import { DfError, isDfError } from "../../errors.ts";
import type { JoinFleetRequest } from "../wire/fleet-api.ts";
import { CredentialCheck } from "./credential.ts";
import { FleetClient } from "./fleet-client.ts";
import { type FleetTrust, fleetTrustSchema } from "./fleet-trust.ts";
import { KeptJson } from "./kept-json.ts";
import { Pause } from "./pause.ts";

/** Where a fleet is found, from a join string or a bare address. */
export interface FleetAddress {
  /** "http://host:port" of each replica of `df config`. */
  urls: readonly string[];
  /** Absent where the fleet lets everybody join. */
  token?: string | undefined;
  /** Raw Ed25519, base64. Absent in a bare address: the first answer is believed, and kept. */
  fleetKey?: string | undefined;
}

export interface EnterFleetOptions {
  machine: JoinFleetRequest;
  /** The file in which the credential is kept. */
  path: string;
  /** How long a `df config` that does not answer is tried. @defaultValue 0: once */
  patienceMs?: number;
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
    const { ca, clusterKey, secrets } = this.#kept;
    return { ca, clusterKey, secrets };
  }

  /** A client that shows this credential. */
  client(): FleetClient {
    return new FleetClient({ urls: this.#fleet.urls, credential: () => this.credential });
  }

  /** Renews the credential where that is due; one that cannot be renewed now is used to its end. */
  async renewIfDue(signal: AbortSignal): Promise<void> {
    const { iat = 0, exp = Infinity } = decodeJwt(this.credential);
    const isDue = exp - Date.now() / 1_000 < (exp - iat) * RENEWAL_SHARE;
    if (!isDue || performance.now() < this.#renewNotBeforeMs) return;
    this.#renewNotBeforeMs = performance.now() + RENEWAL_RETRY_MS;
    await this.#renew(signal).catch((error: unknown) => {
      if (!isDfError(error) && !signal.aborted) throw error;
    });
  }

  /** The token is not asked again: a machine that was shut out must not come back by it. */
  async #renew(signal: AbortSignal): Promise<void> {
    const pinned = { ...this.#fleet, fleetKey: this.fleetKey };
    const kept = await join(pinned, this.#options.machine, this.credential, signal);
    this.#kept = kept;
    await this.#file.write(kept);
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
  { hostId, role }: JoinFleetRequest,
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
  { machine, patienceMs = 0 }: EnterFleetOptions,
  signal: AbortSignal,
): Promise<Kept> {
  const untilMs = performance.now() + patienceMs;
  for (;;) {
    try {
      return await join(fleet, machine, fleet.token, signal);
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
  machine: JoinFleetRequest,
  bearer: string | undefined,
  signal: AbortSignal,
): Promise<Kept> {
  const answer = await new FleetClient({ urls: fleet.urls }).join(machine, bearer, signal);
  if (fleet.fleetKey !== undefined && fleet.fleetKey !== answer.fleetKey) {
    throw new DfError("protocol", "join the fleet: who answers does not have the fleet's key", {
      hint: "another fleet may have taken that address; ask the operator for a new join string",
    });
  }
  const { hostId } = await new CredentialCheck(answer.fleetKey).check(answer.credential);
  if (hostId !== machine.hostId) {
    throw new DfError("protocol", "join the fleet: the credential is for another host");
  }
  const { credential, cluster, fleetKey, clusterKey = null, secrets = null } = answer;
  return { urls: [...fleet.urls], credential, cluster, fleetKey, ca: null, clusterKey, secrets };
}
