// Flags that say what the proxy's port forwards, for whom, and where it opens tunnels.

import { readFileSync, statSync } from "node:fs";
import { Secret } from "../../engine/bytes/secret.ts";
import { DfError } from "../../errors.ts";
import { type ForwardRule, parseForwardRule } from "../../net/proxy/forward-rules.ts";
import { isUrlPattern, parseUrlPattern } from "../../net/url-pattern.ts";
import { type Flag, joinFaults } from "../command-line/flags.ts";
import { listItems } from "../command-line/list-items.ts";

export interface ForwardOptions {
  rules: readonly ForwardRule[];
  /** Patterns of hosts whose tunnels are opened here. */
  intercept: readonly string[];
  /** "user:password" each; null: whoever reaches the port may use it. */
  credentials: Secret<readonly string[]> | null;
  /** Patterns of targets; null: all that egress rules let through. */
  allow: readonly string[] | null;
}

export const NO_FORWARDING: ForwardOptions = {
  ...{ rules: [], intercept: [], credentials: null, allow: null },
};

export const FORWARD_FLAGS: readonly Flag[] = [
  {
    name: "proxy-rule",
    variable: "DRAGONFLY_PROXY_RULE",
    value: "PATTERN=ACTION",
    help: "swarm, direct, tls or rewrite=URL, first match; repeatable (DRAGONFLY_PROXY_RULE)",
  },
  {
    name: "proxy-intercept",
    variable: "DRAGONFLY_PROXY_INTERCEPT",
    value: "HOST,…",
    help: "hosts whose TLS the proxy opens, by the CA of df ca (DRAGONFLY_PROXY_INTERCEPT)",
  },
  {
    name: "proxy-auth",
    variable: "DRAGONFLY_PROXY_AUTH",
    value: "@FILE",
    help: "who may use the proxy: USER:PASSWORD a line (DRAGONFLY_PROXY_AUTH)",
  },
  {
    name: "proxy-allow",
    variable: "DRAGONFLY_PROXY_ALLOW",
    value: "PATTERN,…",
    help: "the only targets of the proxy, with other ports than 80, 443, 5000 (DRAGONFLY_PROXY_ALLOW)",
  },
];

/**
 * @param textsOf all values of a flag, in their order
 * @throws {DfError} usage, for everything that is wrong at once; file-unreadable
 */
export function readForwardOptions(textsOf: (name: string) => readonly string[]): ForwardOptions {
  const faults: DfError[] = [];
  const rules = textsOf("proxy-rule").flatMap((text) => {
    const rule = parseForwardRule(text.trim());
    if (rule === null) faults.push(noRule(text));
    return rule ?? [];
  });
  const patterns = (name: string): string[] => {
    const all = listItems(textsOf(name));
    faults.push(...all.filter((text) => !isUrlPattern(text)).map((text) => noPattern(name, text)));
    return all;
  };
  const intercept = patterns("proxy-intercept");
  const allow = patterns("proxy-allow");
  for (const text of intercept) {
    const { path } = parseUrlPattern(text) ?? { path: null };
    if ((path ?? "/") !== "/") faults.push(noPattern("proxy-intercept", text));
  }
  const auth = textsOf("proxy-auth").at(-1);
  const credentials = auth === undefined ? null : readCredentials(auth);
  if (faults.length > 0) throw joinFaults(faults);
  return { rules, intercept, credentials, allow: allow.length === 0 ? null : allow };
}

function readCredentials(text: string): Secret<readonly string[]> {
  if (!text.startsWith("@")) {
    throw new DfError("usage", "read --proxy-auth: passwords are read from a file alone", {
      hint: "write --proxy-auth @FILE, a line USER:PASSWORD for each user",
    });
  }
  const path = text.slice(1);
  let content: string;
  try {
    if ((statSync(path).mode & 0o007) !== 0) {
      throw new DfError("denied", `read ${path} for --proxy-auth: every user can read it`, {
        hint: `run: chmod o= ${path}`,
      });
    }
    content = readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof DfError) throw cause;
    throw new DfError("file-unreadable", `read ${path} for --proxy-auth`, { cause });
  }
  const pairs = content.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (pairs.length > 0 && pairs.every((pair) => /^[^:]+:.+$/.test(pair))) {
    return new Secret(pairs);
  }
  throw new DfError("usage", `read ${path} for --proxy-auth: not one user and password a line`, {
    hint: "write USER:PASSWORD a line",
  });
}

function noRule(text: string): DfError {
  return new DfError("usage", `read --proxy-rule ${text}: not a rule`, {
    hint: "write PATTERN=swarm, =direct, =tls or =rewrite=URL, e.g. files.lan/*.iso=swarm",
  });
}

function noPattern(name: string, text: string): DfError {
  const path = name === "proxy-intercept" ? " without a path" : "";
  return new DfError("usage", `read --${name} ${text}: not a pattern of hosts`, {
    hint: `write HOST, *.HOST or HOST:PORT${path}`,
  });
}
