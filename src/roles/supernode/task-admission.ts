// The door: who asks for a task is told which task that is, or why he may not have it. Whoever asks for
// a private one is proven at its source first, and nothing is looked up before.
//
//   request ─▶ rules of the fleet ─▶ public ─────────────────────────────────────────▶ task ID
//                                 └▶ private ─▶ TLS or loopback? ─▶ proof at the source ─▶ task ID,
//                                                                    version named to *him*

import { Secret } from "../../engine/bytes/secret.ts";
import { keyedDigestOf, taskIdOf } from "../../engine/bytes/task-id.ts";
import { DfError } from "../../errors.ts";
import type { EgressPolicy } from "../../net/egress/egress-policy.ts";
import type { ProvenVersion } from "../../net/source/source-proof.ts";
import { redactUrl, taskFieldsOf, unknownPartsOf, wholeRequestOf } from "../../net/task-request.ts";
import type { Credentials, TaskRequest } from "../../net/wire/task.ts";
import type { LiveSettings } from "../settings/live-settings.ts";
import { underSourceRules } from "../settings/source-rules.ts";
import type { AskedProof, Proven, SourceProofs } from "./source-proofs.ts";
import { checkRequest } from "./source-policy.ts";

/** A task that was asked for by one who may. */
export interface AskedTask {
  readonly taskId: string;
  /** As the fleet's rules see it. */
  readonly request: TaskRequest;
  /** Of a private task. */
  readonly requester: ProvenRequester | null;
}

/** Somebody who was proven at the source. */
export interface ProvenRequester {
  readonly credentials: Secret<Credentials>;
  readonly version: ProvenVersion;
  /** Asks the source anew, if it was not asked within `ageMsMax`. @throws {DfError} as SourceProofs.prove */
  again(ageMsMax: number): Promise<ProvenRequester>;
}

export interface TaskAdmissionOptions {
  settings: LiveSettings;
  policy: () => EgressPolicy;
  proofs: SourceProofs;
  /** Of the fleet; null: nothing private is shared here. */
  contentSecret: Secret<Uint8Array> | null;
}

export class TaskAdmission {
  readonly #options: TaskAdmissionOptions;

  constructor(options: TaskAdmissionOptions) {
    this.#options = options;
  }

  /**
   * @param isConfidential whether nobody else can listen to who asks
   * @throws {DfError} usage, denied, not-shareable; of private tasks what the source says to who asks
   */
  async admit(asked: TaskRequest, isConfidential: boolean): Promise<AskedTask> {
    const request = this.#underRules(asked);
    if (request.credentials === undefined && request.isSealed !== true)
      return { taskId: publicIdOf(request), request, requester: null };
    const { contentSecret } = this.#options;
    if (contentSecret === null || !isConfidential) throw notShareable(request);
    if (request.credentials === undefined)
      return { taskId: publicIdOf(request), request, requester: null };
    const requester = await this.#prove(request, request.credentials);
    const variant = variantOf(request.credentials, requester.version, contentSecret.reveal());
    const fields = {
      ...taskFieldsOf(request, "private"),
      ...(variant === null ? {} : { variant }),
    };
    return { taskId: taskIdOf(fields), request, requester };
  }

  /**
   * The ID of a task that anybody may ask about.
   * @throws {DfError} usage, denied, not-shareable
   */
  publicIdOf(asked: TaskRequest): string {
    const request = this.#underRules(asked);
    if (request.credentials !== undefined) throw notShareable(request);
    return publicIdOf(request);
  }

  /** What the source names to one who asks with this request. @throws {DfError} as SourceProofs.prove */
  async prove(request: TaskRequest): Promise<ProvenVersion> {
    return (await this.#options.proofs.prove(proofOf(request))).version;
  }

  /** The source refused one who was proven: he is asked about anew. */
  refused(request: TaskRequest): void {
    this.#options.proofs.forget(proofOf(request));
  }

  #underRules(asked: TaskRequest): TaskRequest {
    const { settings, policy } = this.#options;
    const request = underSourceRules(asked, settings.current);
    checkRequest(request, policy());
    return request;
  }

  async #prove(request: TaskRequest, credentials: Credentials): Promise<ProvenRequester> {
    const { proofs } = this.#options;
    const proof = proofOf(request);
    const of = ({ version }: Proven): ProvenRequester => ({
      credentials: new Secret(credentials),
      version,
      again: async (ageMsMax) => of(await proofs.prove(proof, ageMsMax)),
    });
    return of(await proofs.prove(proof));
  }
}

/** Registries answer HEAD as they answer GET, and count it less. */
function proofOf(request: TaskRequest): AskedProof {
  const whole = wholeRequestOf(request);
  return whole.isRegistry === true ? { ...whole, method: "HEAD" } : whole;
}

function publicIdOf(request: TaskRequest): string {
  return taskIdOf(taskFieldsOf(request, "public"));
}

/**
 * What keeps requests apart that the source may answer with other bytes: always what is not known to be
 * a mere credential; and without a strong ETag the credentials too, because a date and a length do not
 * tell two users' bytes apart. Null: nothing of that.
 */
function variantOf(
  credentials: Credentials,
  { validator }: ProvenVersion,
  contentSecret: Uint8Array,
): string | null {
  const unknown = unknownPartsOf(credentials);
  const isNamed = validator?.startsWith('"') === true;
  if (isNamed && unknown.length === 0) return null;
  const { url, headers } = credentials;
  const fields = Object.entries(headers).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const whose = isNamed ? [] : [url, ...fields.flat()];
  return keyedDigestOf(contentSecret, [
    "df variant 1",
    isNamed ? "named" : "own",
    ...unknown,
    ...whose,
  ]);
}

function notShareable({ url }: TaskRequest): DfError {
  return new DfError("not-shareable", `join ${redactUrl(url)}: private`, {
    hint: "private contents are shared by supernodes of a fleet alone, over TLS or on one machine",
  });
}
