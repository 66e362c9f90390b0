// The flag that says where registries of images are reached, for every verb that asks them.

import { DfError } from "../../errors.ts";
import { parseRegistry, type RegistryRules } from "../../net/registry/upstream-choice.ts";
import type { Flag } from "./flags.ts";
import { listItems } from "./list-items.ts";

export const REGISTRY_UPSTREAM_FLAG: Flag = {
  name: "registry-upstream",
  variable: "DRAGONFLY_REGISTRY_UPSTREAM",
  value: "HOST=URL",
  help: "where a registry is reached, e.g. http://…; repeatable (DRAGONFLY_REGISTRY_UPSTREAM)",
};

/** Reads "HOST=URL" each, also several in one text. @throws {DfError} usage */
export function parseUpstreams(texts: readonly string[]): RegistryRules["upstreams"] {
  return Object.fromEntries(listItems(texts).map(upstreamOf));
}

function upstreamOf(text: string): [registry: string, origin: string] {
  const [, host = "", href = ""] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  const place = parseRegistry(host);
  const url = URL.canParse(href) ? new URL(href) : null;
  const isOrigin = url !== null && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`;
  if (place !== null && place.scheme === null && isOrigin) return [place.registry, url.origin];
  // A password in it is none of the log's business.
  throw new DfError("usage", `read --${REGISTRY_UPSTREAM_FLAG.name} for ${host}: not HOST=URL`, {
    hint: "write HOST=http[s]://HOST:PORT, without a path",
  });
}
