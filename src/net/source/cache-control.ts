// Reads a Cache-Control field (RFC 9111 §5.2) for a cache that would rather ask once too often: of
// two values the first counts, a duration that is none counts as 0, and a directive holds whatever
// argument it has. The parsers on npm read "60x" as 60, take the last value, or drop `no-store=1`.

import { DELTA_SECONDS_MAX } from "../../engine/core/freshness.ts";

/** Directives by name in lower case; the argument without quotes, null: none. */
export type Directives = ReadonlyMap<string, string | null>;

/** token [ "=" ( token | quoted-string ) ]; a quote that is not closed hides nothing after it. */
const DIRECTIVE = /([!#$%&'*+\-.^_`|~\w]+)(?:\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s,"]*)))?/g;

export function parseCacheControl(field: string | undefined): Directives {
  const directives = new Map<string, string | null>();
  for (const [, name, quoted, token] of (field ?? "").matchAll(DIRECTIVE)) {
    const key = name!.toLowerCase();
    const value = quoted?.replaceAll(/\\(.)/g, "$1") ?? token ?? null;
    if (!directives.has(key)) directives.set(key, value);
  }
  return directives;
}

/** A directive's duration in seconds; 0 when it has none that can be read, null without the directive. */
export function durationOf(directives: Directives, name: string): number | null {
  const value = directives.get(name);
  if (value === undefined) return null;
  return parseDeltaSeconds(value ?? "") ?? 0;
}

/** delta-seconds (RFC 9111 §1.2.2); null when it is none. */
export function parseDeltaSeconds(text: string): number | null {
  if (!/^\s*\d+\s*$/.test(text)) return null;
  return Math.min(Number(text), DELTA_SECONDS_MAX);
}
