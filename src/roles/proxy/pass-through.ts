// Passes a GET or HEAD on to a registry as the client sent it, and the answer back as the registry gave it:
// redirects are followed here, because the client may not reach, or not be meant to see, where they lead.

import { CONNECT_TIMEOUT_MS } from "../../limits.ts";
import type { EgressGuard } from "../../net/egress/egress-guard.ts";
import {
  cameThrough,
  endToEndFields,
  type Fields,
  joinedFields,
  withVia,
} from "../../net/proxy/message-fields.ts";
import type { ProxiedRequest } from "../../net/proxy/proxied-request.ts";
import type { SourceAnswer } from "../../net/source/exchange.ts";
import { SourceClient } from "../../net/source/source-client.ts";
import { withoutFault } from "../../net/source/source-fault.ts";
import { DfError } from "../../errors.ts";
import { shownBy } from "./shown-credentials.ts";

/** A registry may have to ask a store of its own. */
const REGISTRY_TIMEOUT_MS = 30_000;

/** What says which part or version is wanted; it goes along over redirects. */
const CONDITIONS =
  /^(range|if-range|if-match|if-none-match|if-modified-since|if-unmodified-since)$/;

/** Fields for the mirror, or that are made anew for the next hop. */
const OWN_FIELDS = /^(host|via|x-dragonfly-registry)$/;

/** The registry's answer: its fields, and the body that is read once. */
export interface PassedAnswer {
  readonly status: number;
  readonly fields: Fields;
  /** @throws {DfError} when it breaks off */
  body(): AsyncGenerator<Uint8Array>;
  close(): void;
}

export interface PassThroughOptions {
  egress: EgressGuard;
  /** This port's name in Via. */
  via: string;
}

export class PassThrough {
  readonly #egress: EgressGuard;
  readonly #via: string;

  constructor({ egress, via }: PassThroughOptions) {
    this.#egress = egress;
    this.#via = via;
  }

  /**
   * Waits for the answer's head, whatever it says. `close` is to be called in the end.
   * @param firstByteMs how long a registry may be silent
   * @throws {DfError} when there is none; denied: the request came through here before
   */
  async ask(
    { message, signal }: ProxiedRequest,
    url: string,
    firstByteMs = REGISTRY_TIMEOUT_MS,
  ): Promise<PassedAnswer> {
    if (cameThrough(message, this.#via)) {
      throw new DfError("denied", "ask the registry: the request came through here before", {
        hint: "an upstream of this mirror leads back to it: see --registry-upstream",
      });
    }
    const sent = withVia(endToEndFields(message), message.httpVersion, this.#via);
    if (shownBy(message) === undefined) delete sent["authorization"];
    const fields = Object.entries(joinedFields(sent));
    const client = new SourceClient({
      url,
      headers: Object.fromEntries(fields.filter(([name]) => !OWN_FIELDS.test(name))),
      egress: this.#egress,
      timeoutMs: { connect: CONNECT_TIMEOUT_MS, firstByte: firstByteMs },
    });
    const conditions = {
      ...Object.fromEntries(fields.filter(([name]) => CONDITIONS.test(name))),
      via: sent["via"] as string,
    };
    try {
      const method = message.method === "HEAD" ? "HEAD" : "GET";
      return passedAnswer(await client.ask(conditions, signal, method), client);
    } catch (error) {
      client.close();
      throw withoutFault(error);
    }
  }
}

function passedAnswer(answer: SourceAnswer, client: SourceClient): PassedAnswer {
  return {
    status: answer.status,
    fields: endToEndFields(answer),
    async *body() {
      try {
        yield* answer.body();
      } catch (error) {
        throw withoutFault(error);
      }
    },
    close: () => {
      answer.close();
      client.close();
    },
  };
}
