// Through here goes every request to an address that somebody else named: a source, what it redirects
// to, a host that says where it is. Nothing is connected to that was not checked:
//
//   URL ─▶ scheme, port, name ─▶ all addresses of the name ─▶ each allowed? ─▶ a connection of that
//          source's share ─▶ connected to an address that was checked, whatever the name means by then
//
// What the answer means is for others: source-client.ts follows redirects, each through here anew.

import tls from "node:tls";
import { DfError } from "../../errors.ts";
import { portOf } from "../port-of.ts";
import { redactUrl } from "../task-request.ts";
import { addressKind, type AddressKind } from "./address-kind.ts";
import { type BulkheadLimits, Bulkheads } from "./bulkheads.ts";
import {
  addressRefusal,
  type EgressPolicy,
  type EgressRefusal,
  isLiteral,
  isNear,
  literalOf,
  proxiedKind,
  proxiedRefusal,
  urlRefusal,
} from "./egress-policy.ts";
import { Outlet, type OutletTrust } from "./outlet.ts";
import {
  type ResolvedAddress,
  type ResolveName,
  resolveAsSystem,
  resolveWithoutThreads,
} from "./resolve-name.ts";
import { proxyFor, type SourceProxy } from "./proxy-rules.ts";

/** A name that takes longer is as good as none: resolvers themselves give up after 5 s or more. */
const NAME_TIMEOUT_MS = 5_000;

/** A URL that may be asked, and where it is. */
export interface CheckedTarget {
  readonly url: URL;
  /** Empty: the proxy finds it. */
  readonly addresses: readonly ResolvedAddress[];
  readonly proxy: SourceProxy | null;
  /** Of the address that is nearest to the reader. */
  readonly kind: AddressKind;
}

export interface CheckOptions {
  /** Whose redirect leads here; null: the request itself names it. */
  readonly from: CheckedTarget | null;
  /** Addresses that the name had a moment ago: it is not looked up again. */
  readonly known?: readonly ResolvedAddress[] | undefined;
}

export interface EgressGuardOptions extends BulkheadLimits {
  readonly policy: EgressPolicy;
  /** @defaultValue the system's for `own`, else one without threads */
  readonly resolve?: ResolveName;
}

export class EgressGuard {
  readonly bulkheads: Bulkheads;
  readonly #resolve: ResolveName | undefined;
  #policy: EgressPolicy;
  #secureContext: tls.SecureContext | null = null;

  constructor({ policy, resolve, ...limits }: EgressGuardOptions) {
    this.#policy = policy;
    this.#resolve = resolve;
    this.bulkheads = new Bulkheads(limits);
  }

  get policy(): EgressPolicy {
    return this.#policy;
  }

  /** Counts from the next request on, also for reads under way. */
  become(policy: EgressPolicy): void {
    if (policy.ca !== this.#policy.ca) this.#secureContext = null;
    this.#policy = policy;
  }

  /** The connections of one reader: never used for another one, whose credentials may differ. */
  outlet(trust: OutletTrust): Outlet {
    return new Outlet(this, trust);
  }

  /**
   * Checks a URL and everything that its name resolves to.
   * @throws {DfError} not-shareable: not for this process, but perhaps for its user's own; denied: a
   *   redirect leads where it must not; protocol: a redirect from https to http
   * @throws an error with a `code` when the name does not resolve; the signal's reason
   */
  async check(
    url: URL,
    { from, known }: CheckOptions,
    signal: AbortSignal,
  ): Promise<CheckedTarget> {
    const refuse = (refusal: EgressRefusal | null): void => {
      if (refusal !== null) throw refused(url, refusal, from !== null);
    };
    if (from?.url.protocol === "https:" && url.protocol === "http:") throw plainRedirect(from.url);
    refuse(urlRefusal(url, this.#policy));
    const proxy = proxyFor(url, this.#policy.proxies);
    if (proxy !== null) {
      refuse(proxiedRefusal(url, this.#policy));
      const kind = proxiedKind(url);
      refuseNearer(kind, url, from);
      return { url, addresses: [], proxy, kind };
    }
    const addresses = known ?? (await this.#addressesOf(url, signal));
    // What the name also means might be what is connected to.
    for (const { address } of addresses) refuse(addressRefusal(url, address, this.#policy));
    const kinds = addresses.map(({ address }) => addressKind(address));
    const kind = kinds.find(isNear) ?? kinds.find((one) => one === "private") ?? "public";
    refuseNearer(kind, url, from);
    return { url, addresses, proxy: null, kind };
  }

  /** Certificates that sources may be signed by besides the system's; null: none. */
  get secureContext(): tls.SecureContext | null {
    const { ca } = this.#policy;
    if (ca === null) return null;
    // Made once: some hundred certificates are parsed for it.
    this.#secureContext ??= tls.createSecureContext({
      ca: [...tls.getCACertificates("default"), ca],
    });
    return this.#secureContext;
  }

  async #addressesOf(url: URL, signal: AbortSignal): Promise<readonly ResolvedAddress[]> {
    if (isLiteral(url)) {
      const address = literalOf(url);
      return [{ address, family: address.includes(":") ? 6 : 4 }];
    }
    const byReach = this.#policy.reach === "own" ? resolveAsSystem : resolveWithoutThreads;
    const resolve = this.#resolve ?? byReach;
    const addresses = await inTime(resolve(url.hostname), url, signal);
    if (addresses.length > 0) return addresses;
    throw Object.assign(new Error(`no address of ${url.hostname}`), { code: "ENOTFOUND" });
  }
}

async function inTime<T>(work: Promise<T>, url: URL, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const message = `read ${redactUrl(url.href)}: its name does not resolve within ${NAME_TIMEOUT_MS / 1_000} s`;
  const expire = (): void => reject(Object.assign(new Error(message), { code: "ETIMEOUT" }));
  const interrupt = (): void => reject(signal.reason);
  const timer = setTimeout(expire, NAME_TIMEOUT_MS);
  signal.addEventListener("abort", interrupt, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", interrupt);
  }
}

/** @throws {DfError} denied, for a redirect from elsewhere to this machine or its link */
function refuseNearer(kind: AddressKind, url: URL, from: CheckedTarget | null): void {
  if (from !== null && isNear(kind) && !isNear(from.kind)) throw nearRedirect(url, from.url);
}

/** Says nothing of addresses: whoever asked learns no more of this network than that it is closed. */
function refused(url: URL, refusal: EgressRefusal, isRedirect: boolean): DfError {
  const what = isRedirect ? "follow a redirect to" : "read";
  const because = {
    "no-http": "not an http or https URL",
    "bad-port": `port ${portOf(url)} is another service's`,
    metadata: "it is not read for others",
    forbidden: "it is another machine here, or none",
    private: "only public addresses are read here",
    "own-port": "df itself listens there",
  }[refusal];
  const hint = refusal === "own-port" || refusal === "no-http" ? undefined : allowHint(url);
  const code = isRedirect || refusal === "no-http" ? "denied" : "not-shareable";
  return new DfError(code, `${what} ${redactUrl(url.href)}: ${because}`, { hint });
}

function allowHint(url: URL): string {
  return `allow it with --origin-allow ${url.host} or the setting originAllow`;
}

function plainRedirect(from: URL): DfError {
  return new DfError("protocol", `read ${redactUrl(from.href)}: a redirect from https to http`, {
    hint: "use the http URL if plain text is acceptable",
  });
}

function nearRedirect(to: URL, from: URL): DfError {
  return new DfError(
    "denied",
    `read ${redactUrl(from.href)}: a redirect to ${to.hostname}, this machine or its link`,
    { hint: "a source must not lead others into the network of who reads it" },
  );
}
