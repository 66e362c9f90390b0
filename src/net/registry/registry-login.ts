// What a user shows at a registry to be let into one repository: his password where the registry asks for
// that, or a token that his password got, which opens that repository alone, for reading, for some minutes.
//
//   GET /v2/ ─▶ 401 Basic  ─▶ the password itself
//            └▶ 401 Bearer ─▶ realm trusted? ─▶ GET realm?service&scope, Basic ─▶ token, until it ends
//
// @see https://distribution.github.io/distribution/spec/auth/token/

import { Secret } from "../../engine/bytes/secret.ts";
import { DfError } from "../../errors.ts";
import { SOURCE_TIMEOUTS_MS } from "../../limits.ts";
import type { EgressGuard } from "../egress/egress-guard.ts";
import { SourceClient } from "../source/source-client.ts";
import { faultOfStatus, withoutFault } from "../source/source-fault.ts";
import { tokenIn, tokenUrlOf } from "./anonymous-token.ts";
import { type BearerChallenge, bearerOf } from "./challenge.ts";
import { mayHearPassword } from "./realm-trust.ts";

export interface RegistryLoginOptions {
  /** Where the registry is reached. */
  origin: string;
  repository: string;
  /** What the user gave for the field Authorization: Basic, or a Bearer token of his own. */
  authorization: Secret<string>;
  egress: EgressGuard;
}

interface Shown {
  readonly authorization: Secret<string>;
  /** `performance.now()` */
  readonly untilMs: number;
}

export class RegistryLogin {
  readonly #options: RegistryLoginOptions;
  #shown: Shown | null = null;
  #asking: Promise<Shown> | null = null;

  constructor(options: RegistryLoginOptions) {
    this.#options = options;
  }

  /** The field Authorization as it is to be now; null: it must be got first. */
  get current(): Secret<string> | null {
    const { authorization } = this.#options;
    if (!isBasic(authorization)) return authorization;
    const isLiving = this.#shown !== null && performance.now() < this.#shown.untilMs;
    return isLiving ? this.#shown!.authorization : null;
  }

  /**
   * As `current`; asks the registry, and where it gives tokens, where `current` is null.
   * @throws {DfError} denied (its password must not go where tokens are); as readSource
   */
  async get(signal: AbortSignal): Promise<Secret<string>> {
    if (this.current !== null) return this.current;
    this.#asking ??= this.#ask(signal).finally(() => (this.#asking = null));
    this.#shown = await this.#asking;
    return this.#shown.authorization;
  }

  async #ask(signal: AbortSignal): Promise<Shown> {
    const { origin, authorization } = this.#options;
    try {
      const challenge = await this.#challengeOf(signal);
      if (challenge === null) return { authorization, untilMs: Infinity };
      if (mayHearPassword(origin, challenge.realm)) return await this.#tokenOf(challenge, signal);
    } catch (error) {
      throw withoutFault(error);
    }
    const { host } = new URL(origin);
    throw new DfError("denied", `log in at ${host}: it sends passwords to another place`, {
      hint: "get a token there yourself and give it: -H @FILE with Authorization: Bearer …",
    });
  }

  /** Null: it asks for no token. */
  async #challengeOf(signal: AbortSignal): Promise<BearerChallenge | null> {
    const { origin, egress } = this.#options;
    const url = `${origin}/v2/`;
    const client = new SourceClient({ url, headers: {}, timeoutMs: SOURCE_TIMEOUTS_MS, egress });
    try {
      const answer = await client.ask({}, signal);
      answer.close();
      if (answer.status !== 401) return null;
      return bearerOf(answer.headers["www-authenticate"]);
    } finally {
      client.close();
    }
  }

  async #tokenOf(challenge: BearerChallenge, signal: AbortSignal): Promise<Shown> {
    const { origin, repository, authorization, egress } = this.#options;
    // The least that brings the image, whatever the registry would have asked for.
    const scope = `repository:${repository}:pull`;
    const url = tokenUrlOf({ ...challenge, scope }).href;
    const headers = { authorization: authorization.reveal(), accept: "application/json" };
    const client = new SourceClient({ url, headers, timeoutMs: SOURCE_TIMEOUTS_MS, egress });
    try {
      const answer = await client.ask({}, signal);
      if (answer.status !== 200) {
        answer.close();
        throw faultOfStatus(answer);
      }
      const { token, untilMs } = await tokenIn(answer);
      if (token !== null) return { authorization: new Secret(`Bearer ${token}`), untilMs };
    } finally {
      client.close();
    }
    throw new DfError("protocol", `log in at ${new URL(origin).host}: it gave no token`);
  }
}

function isBasic(authorization: Secret<string>): boolean {
  return /^basic /i.test(authorization.reveal());
}
