// Which way a request takes that goes through the proxy: the operator's rules, of which the first that
// matches counts. A rule may also change where the request leads.
//
//   PATTERN=ACTION            PATTERN as in url-pattern.ts, e.g. "files.pythonhosted.org/packages/*.whl"
//   swarm                     a GET is a task of the swarm; what cannot be one goes to its target
//   direct                    to its target
//   tls                       https instead of http, then as swarm
//   rewrite=URL               the pattern's beginning becomes URL, then as swarm
//   tls+direct, direct+rewrite=URL    changed, and then to its target

import { isUrlPattern, matchesUrl, parseUrlPattern } from "../url-pattern.ts";

export interface ForwardRule {
  readonly pattern: string;
  readonly way: "swarm" | "direct";
  readonly isTls: boolean;
  /** An http(s) URL; null: the request leads where it says. */
  readonly rewrite: string | null;
}

/** What the rules make of a request. */
export interface ChosenWay {
  /** Null: no rule matches; the request goes to its target. */
  readonly way: "swarm" | "direct" | null;
  readonly url: URL;
}

/** @returns null for what is no rule */
export function parseForwardRule(text: string): ForwardRule | null {
  // From the right: a path may hold "=" as well, an action only in its URL.
  const match =
    /^(.+?)=((?:swarm|direct|tls)(?:\+(?:swarm|direct|tls))*)?(?:\+?rewrite=(\S+))?$/.exec(text);
  const [, pattern = "", actions = "", rewrite] = match ?? [];
  const words = actions === "" ? [] : actions.split("+");
  if (!isUrlPattern(pattern) || (words.length === 0 && rewrite === undefined)) return null;
  if (new Set(words).size !== words.length) return null;
  if (words.includes("swarm") && words.includes("direct")) return null;
  if (rewrite !== undefined && (!isPrefix(rewrite) || words.includes("tls"))) return null;
  return {
    pattern,
    way: words.includes("direct") ? "direct" : "swarm",
    isTls: words.includes("tls"),
    rewrite: rewrite ?? null,
  };
}

export function chooseWay(url: URL, rules: readonly ForwardRule[]): ChosenWay {
  for (const rule of rules) {
    const changed = matchesUrl(rule.pattern, url) ? changedBy(rule, url) : null;
    if (changed !== null) return { way: rule.way, url: changed };
  }
  return { way: null, url };
}

/** Null: it would lead out of the place that the rule names. */
function changedBy({ pattern, isTls, rewrite }: ForwardRule, url: URL): URL | null {
  if (rewrite !== null) return rewritten(url, pattern, rewrite);
  return isTls ? withTls(url) : url;
}

function isPrefix(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, search, hash, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && search + hash + username + password === "";
}

/**
 * What follows the literal beginning of the pattern's path follows the new beginning, and the query. Null:
 * behind that beginning it would mean a folder above ("/pool../x" behind "/archive/").
 */
function rewritten(url: URL, pattern: string, prefix: string): URL | null {
  const [beginning = ""] = (parseUrlPattern(pattern)?.path ?? "/").split("*");
  const changed = new URL(prefix);
  const place = changed.pathname;
  changed.pathname = place + url.pathname.slice(beginning.length);
  changed.search = url.search;
  return changed.pathname.startsWith(place) ? changed : null;
}

function withTls(url: URL): URL {
  if (url.protocol !== "http:") return url;
  const changed = new URL(url);
  changed.protocol = "https:";
  return changed;
}
