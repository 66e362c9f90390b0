// One source over HTTP: sends requests with the fields that are for it, and follows redirects by hand.
// Where a request may go is the egress guard's affair; one request and its answer are exchange.ts; what
// an answer means is decided by source-answer.ts and above.

import { redirectLifetimeSeconds } from "../../engine/core/freshness.ts";
import { DfError, isDfError } from "../../errors.ts";
import { keptAnswerOf, termsOf } from "./cache-terms.ts";
import { version } from "../../../package.json";
import { throwIfInterrupted } from "./retry-gate.ts";
import { SourceFault, faultOfStatus, faultOfTransport, finalFault } from "./source-fault.ts";
import { basicAuthorization } from "../basic-authorization.ts";
import { redactUrl } from "../task-request.ts";
import type { CheckedTarget } from "../egress/egress-guard.ts";
import type { Outlet, Passage } from "../egress/outlet.ts";
import { anonymousTokensOf } from "../registry/anonymous-token.ts";
import { bearerOf } from "../registry/challenge.ts";
import { exchange, type SourceAnswer } from "./exchange.ts";
import type { SourceAddress } from "./source-read.ts";

/** curl follows 50, browsers 20; a chain beyond this is a loop in practice. */
const REDIRECTS_MAX = 10;

/** What a place that a redirect led to says once its signature expired: some stores call that a bad request. */
const LEADS_NO_MORE = new Set([400, 401, 403, 404, 410]);

/** Header fields that say nothing of who asks: the only ones that follow a redirect to another origin. */
const NEUTRAL_HEADERS = new Set(["user-agent", "accept", "accept-language"]);

/** Header fields that a read sets itself or that are between two hops only (RFC 9110 §7.6.1). */
const OWN_HEADERS =
  /^(range|if-.*|accept-encoding|connection|keep-alive|te|transfer-encoding|content-length|upgrade|proxy-connection|expect)$/;

/** Header fields that say who asks. */
const OWN_CREDENTIALS = /^(authorization|cookie)$/;

/** Where a request goes first, and what led there. */
interface Start {
  url: string;
  redirectSeconds: number | null;
  /** Null: the caller named it. */
  from: CheckedTarget | null;
}

/** One request of a chain of redirects. */
interface Asked {
  readonly passage: Passage;
  readonly from: CheckedTarget | null;
  readonly headers: Record<string, string>;
  readonly method: "GET" | "HEAD";
}

export class SourceClient {
  readonly #address: SourceAddress;
  readonly #outlet: Outlet;
  /** Where redirects led; forgotten when that place refuses, e.g. because its signature expired. */
  #resolved: Start | null = null;
  /** Of everybody, of a registry that wants one; null: none was wanted yet. */
  #token: string | null = null;

  constructor(address: SourceAddress) {
    this.#address = address;
    this.#outlet = address.egress.outlet(address.trust ?? { ca: null, isInsecure: false });
  }

  /**
   * Sends a request and waits for the final answer's headers, whatever its status.
   * @throws {SourceFault} also for a chain of redirects that leads nowhere
   */
  async ask(
    headers: Record<string, string>,
    signal: AbortSignal,
    method: "GET" | "HEAD" = "GET",
  ): Promise<SourceAnswer> {
    if (this.#resolved !== null) {
      const answer = await this.#follow(this.#resolved, headers, method, signal);
      if (!LEADS_NO_MORE.has(answer.status)) return answer;
      answer.close();
      this.#resolved = null;
    }
    const start = { url: this.#address.url, redirectSeconds: null, from: null };
    return this.#follow(start, headers, method, signal);
  }

  /** Closes idle connections; answers under way are closed by their own `close`. */
  close(): void {
    this.#outlet.close();
  }

  async #follow(
    start: Start,
    headers: Record<string, string>,
    method: "GET" | "HEAD",
    signal: AbortSignal,
  ): Promise<SourceAnswer> {
    let url = new URL(start.url);
    let { redirectSeconds, from } = start;
    for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
      const passage = await this.#enter(url, from, signal);
      const answer = await this.#answerTo({ passage, from, headers, method }, signal);
      if (![301, 302, 303, 307, 308].includes(answer.status)) {
        if (from !== null) this.#resolved = { url: url.href, redirectSeconds, from };
        return { ...answer, redirectSeconds };
      }
      answer.close();
      const seconds = redirectLifetimeSeconds(answer.status, termsOf(keptAnswerOf(answer)));
      redirectSeconds = Math.min(redirectSeconds ?? Infinity, seconds);
      from = passage.target;
      url = redirectTarget(url, answer.headers.location);
    }
    throw finalFault(
      "protocol",
      `read ${redactUrl(start.url)}: more than ${REDIRECTS_MAX} redirects`,
      "the redirects form a loop",
    );
  }

  /** Sends one request, and once more where a registry wants a token of everybody first. */
  async #answerTo(asked: Asked, signal: AbortSignal): Promise<SourceAnswer> {
    const { target } = asked.passage;
    const shown = this.#tokenFor(target.url);
    const answer = await this.#exchange(asked, shown, signal);
    if (answer.status !== 401 || !this.#mayShowToken(target.url)) return answer;
    const challenge = bearerOf(answer.headers["www-authenticate"]);
    if (challenge === null) return answer;
    answer.close();
    const tokens = anonymousTokensOf(this.#address.egress);
    const token = await tokens.get(challenge, { from: target, refused: shown }, signal);
    if (token === null || token === shown) return answer;
    this.#token = token;
    const passage = await this.#enter(target.url, asked.from, signal);
    return this.#exchange({ ...asked, passage }, token, signal);
  }

  #exchange(
    { passage, headers, method }: Asked,
    token: string | null,
    signal: AbortSignal,
  ): Promise<SourceAnswer> {
    const { target } = passage;
    const shown = token === null ? {} : { authorization: `Bearer ${token}` };
    return exchange(
      {
        ...{ passage, method, headers: { ...this.#headersFor(target.url), ...shown, ...headers } },
        timeoutMs: this.#address.timeoutMs,
        faultOf: (error) => this.#unanswered(error, target),
      },
      signal,
    );
  }

  #tokenFor(url: URL): string | null {
    if (!this.#mayShowToken(url)) return null;
    this.#token ??= anonymousTokensOf(this.#address.egress).known(url);
    return this.#token;
  }

  /** Whoever shows something of his own is judged by that alone. */
  #mayShowToken(url: URL): boolean {
    const { isRegistry = false, headers, url: asked } = this.#address;
    const own = new URL(asked);
    const hasOwn =
      own.username !== "" ||
      Object.keys(headers).some((name) => OWN_CREDENTIALS.test(name.toLowerCase()));
    return isRegistry && !hasOwn && url.origin === own.origin;
  }

  async #enter(url: URL, from: CheckedTarget | null, signal: AbortSignal): Promise<Passage> {
    throwIfInterrupted(signal);
    try {
      return await this.#outlet.enter(url, from, signal);
    } catch (error) {
      throwIfInterrupted(signal);
      if (isDfError(error, "source-busy")) throw new SourceFault(error, { isTransient: true });
      throw faultOfTransport(error, url.href);
    }
  }

  /** The caller's header fields that may be sent to `url`, and ours. */
  #headersFor(url: URL): Record<string, string> {
    const original = new URL(this.#address.url);
    const isSameOrigin = url.origin === original.origin;
    const headers: Record<string, string> = {
      "user-agent": `df/${version}`,
      accept: "*/*",
      "accept-encoding": "identity",
    };
    for (const [name, value] of Object.entries(this.#address.headers)) {
      const field = name.toLowerCase();
      if (OWN_HEADERS.test(field)) continue;
      if (isSameOrigin || NEUTRAL_HEADERS.has(field)) headers[field] = value;
    }
    const authorization = basicAuthorization(isSameOrigin ? original : url);
    if (authorization !== null) headers["authorization"] ??= authorization;
    return headers;
  }

  /**
   * A request that got no answer. Others who ask through this process learn no more of a private
   * network than that: which of its ports are open is not theirs to know.
   */
  #unanswered(error: Error, { url, kind }: CheckedTarget): SourceFault {
    const fault = faultOfTransport(error, url.href);
    const { code } = fault.error;
    const isAskedByOthers = this.#address.egress.policy.reach === "network";
    const tells = code === "network" || code === "timeout" || code === "protocol";
    if (!isAskedByOthers || kind === "public" || !tells) return fault;
    const message = `read ${redactUrl(url.href)}: no answer`;
    const hint = "check that the source is up, and reachable from where it is read";
    return new SourceFault(new DfError("network", message, { cause: error, hint }), fault);
  }
}

function redirectTarget(from: URL, location: string | undefined): URL {
  const what = `read ${redactUrl(from.href)}`;
  if (location === undefined || !URL.canParse(location, from.href)) {
    throw finalFault("protocol", `${what}: a redirect without a usable Location`);
  }
  const target = new URL(location, from);
  if (target.protocol !== "http:" && target.protocol !== "https:") {
    throw finalFault("protocol", `${what}: a redirect to ${target.protocol}`);
  }
  return target;
}

/** Closes the answer and throws unless its status is one of `statuses`. */
export function expectStatus(answer: SourceAnswer, statuses: readonly number[]): void {
  if (statuses.includes(answer.status)) return;
  answer.close();
  throw faultOfStatus(answer);
}
