// Flags that say how sources are reached, for every verb that reads them.

import { readFileSync } from "node:fs";
import { Secret } from "../../engine/bytes/secret.ts";
import { DfError } from "../../errors.ts";
import { parseProxy, type ProxyRules } from "../../net/egress/proxy-rules.ts";
import { isUrlPattern } from "../../net/url-pattern.ts";
import { checkCertificates } from "./certificates-file.ts";
import type { Flag } from "./flags.ts";

export const SOURCE_PROXY_FLAG: Flag = {
  name: "source-proxy",
  value: "PATTERN=URL",
  help: "sources read through a proxy: http://[USER:PASSWORD@]HOST:PORT, or none; @FILE; repeatable",
};

export const SOURCE_CA_FLAG: Flag = {
  name: "source-ca",
  value: "FILE",
  help: "certificates (PEM) of private CAs that sources have theirs from, beside the system's",
};

/**
 * Reads "PATTERN=URL" each, or "@FILE" with one a line; "none" instead of a URL: no proxy. Undefined
 * when nothing was given.
 * @throws {DfError} usage, which shows no URL: it may hold a password; file-unreadable
 */
export function proxyRulesOf(texts: readonly string[]): Secret<ProxyRules> | undefined {
  if (texts.length === 0) return undefined;
  const flag = `--${SOURCE_PROXY_FLAG.name}`;
  const lines = texts.flatMap((text) =>
    text.startsWith("@") ? linesOf(readText(flag, text.slice(1))) : [text],
  );
  return new Secret(Object.fromEntries(lines.map((line) => parseRule(flag, line))));
}

/** @throws {DfError} usage */
export function parseOriginPolicy(flag: string, text: string): "private-allowed" | "public-only" {
  if (text === "private-allowed" || text === "public-only") return text;
  throw new DfError("usage", `read ${flag} ${text}: no such policy`, {
    hint: "one of private-allowed, public-only",
  });
}

/** @throws {DfError} usage */
export function parseOriginPattern(flag: string, pattern: string): string {
  if (isUrlPattern(pattern)) return pattern;
  throw new DfError("usage", `${flag} ${pattern}: no pattern of sources`, {
    hint: "write [http[s]://]HOST[:PORT][/PATH], where HOST may be *.example.org",
  });
}

/**
 * PEM, as `--source-ca` names it.
 * @throws {DfError} file-unreadable
 */
export function readSourceCa(flag: string, path: string): string {
  return checkCertificates(flag, path, readText(flag, path));
}

/** @throws {DfError} file-unreadable */
function readText(flag: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new DfError("file-unreadable", `read ${path} for ${flag}`, {
      cause,
      hint: "name a file that you may read",
    });
  }
}

function linesOf(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

function parseRule(flag: string, line: string): [pattern: string, proxy: string] {
  const at = line.indexOf("=");
  const pattern = line.slice(0, Math.max(at, 0)).trim();
  const proxy = line.slice(at + 1).trim();
  if (isUrlPattern(pattern)) {
    if (proxy === "none") return [pattern, ""];
    if (parseProxy(proxy) !== null) return [pattern, proxy];
  }
  throw new DfError(
    "usage",
    `read ${flag} for ${pattern === "" ? "no source" : pattern}: no rule`,
    {
      hint: "write 'PATTERN=http://[USER:PASSWORD@]HOST:PORT' or 'PATTERN=none', PATTERN as in *.example.org",
    },
  );
}
