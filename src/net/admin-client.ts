// An administrator's calls to `df config`: one JSON request each, answers checked against the same
// schemas that the service answers by.

import type { z } from "zod";
import type { Secret } from "../engine/bytes/secret.ts";
import { DfError, messageOf } from "../errors.ts";
import { errorOfResponse } from "./problem.ts";
import { isOwnMachine } from "./swarm/is-confidential.ts";
import { isFleetCa } from "./tls/fleet-ca-name.ts";
import { plainHintOf, tlsFaultOf } from "./tls/tls-fault.ts";
import { CONFIG_TLS_NAME } from "./wire/fleet-api.ts";
import { wordsOfFaults } from "./schema-fault.ts";

export interface AdminClientOptions {
  /** "http://host:port" or "https://host:port". */
  url: string;
  adminToken: Secret<string>;
  /** PEM: the fleet's CA, or one that vouches for the host in the URL; undefined: the system's. */
  ca?: string | undefined;
  /** What to do about a certificate that is not believed. */
  caHint?: string;
}

export interface AdminRequest {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Below `/api/v1/`, with its query. */
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
}

/** An administrator's question takes a query or two; longer is a hung service. */
const ANSWER_TIMEOUT_MS = 30_000;

export class AdminClient {
  readonly #url: string;
  readonly #options: AdminClientOptions;

  constructor(options: AdminClientOptions) {
    this.#url = options.url.replace(/\/+$/, "");
    this.#options = options;
  }

  /** Whether nobody else can listen to what is asked. */
  get isConfidential(): boolean {
    const { protocol, hostname } = new URL(this.#url);
    return protocol === "https:" || isOwnMachine(hostname);
  }

  /**
   * Asks and checks the answer.
   * @throws {DfError} unavailable; protocol; what `df config` answered
   */
  async ask<Schema extends z.ZodType>(
    request: AdminRequest,
    schema: Schema,
    signal: AbortSignal = NEVER,
  ): Promise<z.output<Schema>> {
    const response = await this.#send(request, signal);
    const json: unknown = await response.json().catch(() => undefined);
    const answer = schema.safeParse(json);
    if (answer.success) return answer.data;
    throw new DfError("protocol", `ask ${this.#url}: the answer is not one of df config`, {
      cause: new Error(wordsOfFaults(answer.error)),
      hint: "check the address, and that both ends have the same version of df",
    });
  }

  /**
   * As `ask`, for what is answered without a body.
   * @throws {DfError} unavailable; what `df config` answered
   */
  async tell(request: AdminRequest, signal: AbortSignal = NEVER): Promise<void> {
    await this.#send(request, signal);
  }

  async #send(
    { method, path, body, headers = {} }: AdminRequest,
    signal: AbortSignal,
  ): Promise<Response> {
    const tried = `ask df config at ${this.#url}`;
    const { adminToken, ca, caHint = "check --config-service" } = this.#options;
    const response = await fetch(`${this.#url}/api/v1/${path}`, {
      ...(ca === undefined || !this.#url.startsWith("https:") ? {} : { tls: configTlsOf(ca) }),
      method,
      headers: {
        ...headers,
        authorization: `Bearer ${adminToken.reveal()}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
      // The token goes to nobody else.
      redirect: "error",
      proxy: false,
    }).catch((cause: unknown) => {
      signal.throwIfAborted();
      const fault = tlsFaultOf(cause, tried, caHint);
      if (fault !== undefined) throw fault;
      const hint = "check --config-service, and that df config runs and can be reached from here";
      throw new DfError("unavailable", `${tried}: ${messageOf(cause)}`, {
        cause,
        hint: plainHintOf(cause, hint),
      });
    });
    if (!response.ok) throw await errorOfResponse(response, tried);
    return response;
  }
}

/** Behind the fleet's own CA it is known by its role, behind any other by the host in its URL. */
function configTlsOf(ca: string): { ca: string; serverName?: string } {
  return isFleetCa(ca) ? { ca, serverName: CONFIG_TLS_NAME } : { ca };
}

const NEVER = new AbortController().signal;
