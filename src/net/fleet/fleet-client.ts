// A machine's calls to `df config`: one request each, over the replicas in turn until one answers.
// What is said and how often is decided by those who call.

import type { z } from "zod";
import { DfError, isDfError, messageOf } from "../../errors.ts";
import { CONNECT_TIMEOUT_MS } from "../../limits.ts";
import { jsonOrUndefined } from "../json-or-undefined.ts";
import { limitedText } from "../limited-text.ts";
import { errorOfResponse } from "../problem.ts";
import { type ServerProof, tlsOptionsOf } from "../tls/server-proof.ts";
import { plainHintOf, tlsFaultOf } from "../tls/tls-fault.ts";
import {
  heartbeatAnswerSchema,
  joinAnswerSchema,
  routeAnswerSchema,
  type Heartbeat,
  type HeartbeatAnswer,
  type JoinFleetAnswer,
  type JoinFleetRequest,
  type RouteAnswer,
  type RouteRequest,
} from "../wire/fleet-api.ts";

export interface FleetClientOptions {
  /** "http://host:port" or "https://host:port" of each replica of `df config`. */
  urls: readonly string[];
  /** What this machine shows from when it has joined. */
  credential?: () => string;
  /** How a replica at an "https:" address proves itself. @defaultValue as any server, by its address */
  proof?: () => ServerProof | null;
}

/** A living `df config` answers from memory or one query; longer is a hung one, and the next replica's turn. */
const ANSWER_TIMEOUT_MS = CONNECT_TIMEOUT_MS + 5_000;

/** A cluster of a thousand members with their addresses is under 1 MB; commands may name many hosts. */
const ANSWER_BYTES_MAX = 32 << 20;

export class FleetClient {
  readonly #urls: readonly string[];
  readonly #credential: (() => string) | undefined;
  readonly #proof: () => ServerProof | null;
  /** The replica that answered last; first any, so that all of them have their share. */
  #current: number;

  constructor({ urls, credential, proof = () => null }: FleetClientOptions) {
    this.#urls = urls.map((url) => url.replace(/\/+$/, ""));
    this.#current = Math.floor(Math.random() * urls.length);
    this.#credential = credential;
    this.#proof = proof;
  }

  /**
   * Exchanges a join token for a credential.
   * @param bearer join token, or the own credential, which is renewed; undefined where the fleet lets
   * everybody join
   * @throws {DfError} unavailable; protocol; what `df config` answered
   */
  join(
    request: JoinFleetRequest,
    bearer: string | undefined,
    signal: AbortSignal,
  ): Promise<JoinFleetAnswer> {
    return this.#ask("join", request, { schema: joinAnswerSchema, bearer, signal });
  }

  /** @throws {DfError} unavailable; protocol; what `df config` answered */
  heartbeat(heartbeat: Heartbeat, signal: AbortSignal): Promise<HeartbeatAnswer> {
    const bearer = this.#credential?.();
    return this.#ask("heartbeat", heartbeat, { schema: heartbeatAnswerSchema, bearer, signal });
  }

  /**
   * This host's supernodes; the answer may be held for `waitSeconds`.
   * @throws {DfError} unavailable; protocol; what `df config` answered
   */
  routes(request: RouteRequest, signal: AbortSignal): Promise<RouteAnswer> {
    return this.#ask("routes", request, {
      schema: routeAnswerSchema,
      bearer: this.#credential?.(),
      signal,
      holdMs: 1_000 * request.waitSeconds,
    });
  }

  /** Asks the replica that answered last, then the others; what one of them refused is not tried elsewhere. */
  async #ask<Schema extends z.ZodType>(
    call: string,
    body: unknown,
    options: AskOptions<Schema>,
  ): Promise<z.infer<Schema>> {
    let lastError: unknown;
    for (let tried = 0; tried < this.#urls.length; tried++) {
      const index = (this.#current + tried) % this.#urls.length;
      try {
        const url = `${this.#urls[index]!}/api/v1/${call}`;
        const answer = await askOne(url, body, { ...options, proof: this.#proof() });
        this.#current = index;
        return answer;
      } catch (error) {
        options.signal.throwIfAborted();
        const isOfOneReplica = isDfError(error, "protocol") || isDfError(error, "tls");
        if (isDfError(error) && !error.isRetryable && !isOfOneReplica) throw error;
        lastError = error;
      }
    }
    if (isDfError(lastError)) throw lastError;
    const tried = `ask df config at ${this.#urls.join(", ")}`;
    throw new DfError("unavailable", `${tried}: ${messageOf(lastError)}`, {
      cause: lastError,
      hint: plainHintOf(lastError, "check that df config runs and can be reached from here"),
    });
  }
}

interface AskOptions<Schema> {
  schema: Schema;
  bearer: string | undefined;
  signal: AbortSignal;
  /** How long the answer may be held on purpose. */
  holdMs?: number;
}

async function askOne<Schema extends z.ZodType>(
  url: string,
  body: unknown,
  { schema, bearer, signal, holdMs = 0, proof }: AskOptions<Schema> & { proof: ServerProof | null },
): Promise<z.infer<Schema>> {
  const deadline = AbortSignal.timeout(holdMs + ANSWER_TIMEOUT_MS);
  const response = await fetch(url, {
    ...tlsOptionsOf(url.startsWith("https:") ? proof : null),
    method: "POST",
    body: JSON.stringify(body),
    headers: {
      "content-type": "application/json",
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    },
    signal: AbortSignal.any([signal, deadline]),
    // A credential goes to nobody else, and the machine's own proxy must not be asked for the fleet.
    redirect: "error",
    proxy: false,
    // The deadline above counts; Bun's own would be another.
    timeout: false,
  }).catch((cause: unknown) => {
    const hint =
      "another server may have taken that address; ask the operator for a new join string";
    throw tlsFaultOf(cause, `ask ${new URL(url).origin}`, hint) ?? cause;
  });
  if (!response.ok) throw await errorOfResponse(response, `ask ${url}`);
  const text = await limitedText(response, ANSWER_BYTES_MAX);
  if (text === null) throw new DfError("protocol", `ask ${url}: an endless answer`);
  const answer = schema.safeParse(jsonOrUndefined(text));
  if (answer.success) return answer.data;
  throw new DfError("protocol", `ask ${url}: the answer is not one of df config`, {
    cause: answer.error,
    hint: "check the address: another server may listen there",
  });
}
