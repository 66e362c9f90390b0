// Tokens that registries give to everybody. One that wants a token even for what is public says in its 401
// where to get it; asked without credentials, that place gives one that opens what is public.
//
//   401, WWW-Authenticate: Bearer realm, service, scope ─▶ GET realm?service&scope ─▶ { token, expires_in }
//
// Where the registry sends others is its own word alone: the realm is asked through the egress guard, as if
// the registry had redirected there, and hears nothing of who asks. What it answers goes back to the registry: so
// one in the internet must not name a place within this network, whose words those would be.
//
// @see https://distribution.github.io/distribution/spec/auth/token/

import { z } from "zod";
import { version } from "../../../package.json";
import { DfError, isDfError } from "../../errors.ts";
import { SOURCE_TIMEOUTS_MS } from "../../limits.ts";
import type { CheckedTarget, EgressGuard } from "../egress/egress-guard.ts";
import { jsonOrUndefined } from "../json-or-undefined.ts";
import { exchange, type SourceAnswer } from "../source/exchange.ts";
import { faultOfStatus, faultOfTransport } from "../source/source-fault.ts";
import { wholeBody } from "../source/whole-body.ts";
import type { BearerChallenge } from "./challenge.ts";
import { mayHearPassword } from "./realm-trust.ts";

/** An answer with two tokens of the largest size, and room. */
const ANSWER_BYTES_MAX = 64 << 10;

/** Header fields of a request must stay below some 16 KiB in all. */
const TOKEN_CHARS_MAX = 12 << 10;

/** What the specification lets a client assume, and the longest that is believed. */
const LIFETIME_SECONDS = 60;
const LIFETIME_SECONDS_MAX = 3_600;

/** A token is not shown any more in the last tenth of its life: it must arrive while it counts. */
const USED_SHARE = 0.9;

/** That nobody gets a token of something may change. */
const REFUSAL_MS = 10_000;

/** Challenges remembered at once, the oldest go first. Some 3 KB each. */
const TOKENS_MAX = 1_000;

const answerSchema = z.object({
  token: z.string().optional(),
  access_token: z.string().optional(),
  expires_in: z.number().optional(),
});

/** RFC 6750 §2.1, b64token. */
const TOKEN = /^[\w.~+/-]+=*$/;

interface KnownToken {
  /** Null: the realm gives none to everybody. */
  readonly token: string | null;
  /** `performance.now()` */
  readonly untilMs: number;
}

const byGuard = new WeakMap<EgressGuard, AnonymousTokens>();

/** Those of all readers that go through one guard. */
export function anonymousTokensOf(egress: EgressGuard): AnonymousTokens {
  const known = byGuard.get(egress) ?? new AnonymousTokens(egress);
  byGuard.set(egress, known);
  return known;
}

class AnonymousTokens {
  readonly #egress: EgressGuard;
  readonly #known = new Map<string, KnownToken>();
  readonly #underWay = new Map<string, Promise<KnownToken>>();
  /** What opened a repository last, by its URL: the next request need not be refused first. */
  readonly #byRepository = new Map<string, string>();

  constructor(egress: EgressGuard) {
    this.#egress = egress;
  }

  /** The token for what `url` names, where its registry has asked for one; null: none is at hand. */
  known(url: URL): string | null {
    const key = this.#byRepository.get(repositoryOf(url));
    return key === undefined ? null : (this.#living(key)?.token ?? null);
  }

  /**
   * A token of what the registry asked for; null: it is not for everybody.
   * @param from the registry at `from.url` sent the challenge
   * @param refused a token that it did not take
   * @throws {SourceFault} when the realm is in trouble; {DfError} interrupted
   */
  async get(
    challenge: BearerChallenge,
    { from, refused }: { from: CheckedTarget; refused: string | null },
    signal: AbortSignal,
  ): Promise<string | null> {
    const key = JSON.stringify([challenge.realm, challenge.service, challenge.scope]);
    const known = this.#living(key);
    if (known !== undefined && known.token === refused) this.#known.delete(key);
    else if (known !== undefined) return this.#use(key, from, known);
    let asked = this.#underWay.get(key);
    if (asked === undefined) {
      // Others wait for it too: nobody's leaving ends it, and its deadlines are those of any request.
      asked = this.#ask(challenge, from).finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, asked);
    }
    const got = await unlessInterrupted(asked, signal);
    remember(this.#known, key, got);
    return this.#use(key, from, got);
  }

  #use(key: string, { url }: CheckedTarget, { token }: KnownToken): string | null {
    if (token !== null) remember(this.#byRepository, repositoryOf(url), key);
    return token;
  }

  #living(key: string): KnownToken | undefined {
    const known = this.#known.get(key);
    if (known === undefined || performance.now() < known.untilMs) return known;
    this.#known.delete(key);
    return undefined;
  }

  async #ask(challenge: BearerChallenge, from: CheckedTarget): Promise<KnownToken> {
    const url = tokenUrlOf(challenge);
    const outlet = this.#egress.outlet({ ca: null, isInsecure: false });
    const signal = new AbortController().signal;
    try {
      const passage = await outlet.enter(url, from, signal);
      if (leadsInside(from, passage.target)) {
        passage.leave();
        return refusal();
      }
      const answer = await exchange(
        {
          ...{ passage, method: "GET" },
          headers: { "user-agent": `df/${version}`, accept: "application/json" },
          timeoutMs: SOURCE_TIMEOUTS_MS,
          faultOf: (error) => faultOfTransport(error, url.href),
        },
        signal,
      );
      return await tokenIn(answer);
    } catch (error) {
      // A realm that is not to be asked is none: the registry's refusal stands.
      if (isForbidden(error)) return refusal();
      throw faultOfTransport(error, url.href);
    } finally {
      outlet.close();
    }
  }
}

/** @throws {SourceFault} when the realm is in trouble */
export async function tokenIn(answer: SourceAnswer): Promise<KnownToken> {
  const { status } = answer;
  if (status !== 200) {
    answer.close();
    if (status === 408 || status === 429 || status >= 500) throw faultOfStatus(answer);
    // Redirects are not followed: a realm is where the registry says.
    return refusal();
  }
  // What is longer than any token is none.
  const bytes = await wholeBody(answer.body(), ANSWER_BYTES_MAX);
  const parsed = answerSchema.safeParse(
    jsonOrUndefined(new TextDecoder().decode(bytes ?? undefined)),
  );
  const { token, access_token, expires_in = 0 } = parsed.data ?? {};
  const given = token ?? access_token ?? "";
  if (given.length > TOKEN_CHARS_MAX || !TOKEN.test(given)) return refusal();
  const seconds = Math.min(Math.max(expires_in, LIFETIME_SECONDS), LIFETIME_SECONDS_MAX);
  return { token: given, untilMs: performance.now() + seconds * 1_000 * USED_SHARE };
}

function refusal(): KnownToken {
  return { token: null, untilMs: performance.now() + REFUSAL_MS };
}

/** Whether a registry of the public's names a realm that is private, and not its own. */
function leadsInside(from: CheckedTarget, { url, kind }: CheckedTarget): boolean {
  const isOwn = mayHearPassword(from.url.origin, url.href);
  return from.kind === "public" && kind !== "public" && !isOwn;
}

/** Whether the guard let nobody through, as opposed to a realm that is in trouble. */
function isForbidden(error: unknown): boolean {
  return (
    isDfError(error, "not-shareable") || isDfError(error, "denied") || isDfError(error, "protocol")
  );
}

/** No credentials are in it, also where the registry wrote some into the realm. */
export function tokenUrlOf({ realm, service, scope }: BearerChallenge): URL {
  const url = new URL(realm);
  url.username = "";
  url.password = "";
  url.hash = "";
  if (service !== "") url.searchParams.append("service", service);
  for (const one of scope.split(" ")) if (one !== "") url.searchParams.append("scope", one);
  return url;
}

/** A token is of a repository, mostly: what stands before what is asked for in it. */
function repositoryOf({ origin, pathname }: URL): string {
  return origin + pathname.replace(/\/(?:blobs|manifests|tags|referrers)\/[^/]*$/, "");
}

function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > TOKENS_MAX && oldest !== undefined) map.delete(oldest);
}

async function unlessInterrupted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const interrupt = (): void => reject(new DfError("interrupted", "get a registry's token"));
  signal.addEventListener("abort", interrupt, { once: true });
  if (signal.aborted) interrupt();
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", interrupt);
  }
}
