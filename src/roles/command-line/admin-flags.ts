// The flags by which a command finds `df config` and shows that its user may administer the fleet.

import { dirname } from "node:path";
import { DfError } from "../../errors.ts";
import { CONFIG_PORT } from "../../limits.ts";
import { AdminClient } from "../../net/admin-client.ts";
import { redactUrl } from "../../net/task-request.ts";
import { type OwnService, readCaIn, readOwnService } from "../config/config-dir.ts";
import { CA_FLAG, CA_HINT, readCa } from "./ca-flag.ts";
import { isLoopbackUrl, isServiceUrl, withScheme } from "./fleet-flags.ts";
import type { Flag, ParsedFlags } from "./flags.ts";
import { readSecret } from "./secret.ts";

const DEFAULT_SERVICE = `127.0.0.1:${CONFIG_PORT}`;

export const ADMIN_FLAGS: readonly Flag[] = [
  {
    name: "config-service",
    variable: "DRAGONFLY_CONFIG_SERVICE",
    value: "URL",
    help: `df config of the fleet (the one here, ${DEFAULT_SERVICE}; DRAGONFLY_CONFIG_SERVICE)`,
  },
  {
    name: "admin-token",
    variable: "DRAGONFLY_ADMIN_TOKEN",
    value: "@FILE",
    help: "who may do this (the first token of a df config here; DRAGONFLY_ADMIN_TOKEN)",
  },
  CA_FLAG,
];

/** @throws {DfError} usage, file-unreadable */
export function adminClientOf(flags: ParsedFlags): AdminClient {
  const text = (name: string, variable: string): string | undefined =>
    flags.values.get(name)?.at(-1) ?? (process.env[variable] || undefined);
  const own = readOwnService();
  const service = text("config-service", "DRAGONFLY_CONFIG_SERVICE") ?? own?.url ?? DEFAULT_SERVICE;
  // Of several replicas any will do.
  const [first = ""] = service.split(",");
  const url = withScheme(first.trim());
  if (!isServiceUrl(url)) {
    const shown = redactUrl(url);
    throw new DfError("usage", `read --config-service ${shown}: not an address of df config`, {
      hint: `write --config-service https://HOST:${CONFIG_PORT}`,
    });
  }
  const given = text("admin-token", "DRAGONFLY_ADMIN_TOKEN");
  // The token of the df config here is for it alone: who mistypes a host must not send it there.
  const isOwn = url === own?.url || isLoopbackUrl(url);
  const adminToken =
    given !== undefined ? readSecret("--admin-token", given) : isOwn ? own?.adminToken : undefined;
  if (adminToken !== undefined && adminToken.reveal() !== "") {
    const ca = readCa(flags) ?? caBeside(given) ?? caOf(own);
    return new AdminClient({ url, adminToken, ca, caHint: CA_HINT });
  }
  throw new DfError("unauthorized", "ask df config: no admin token is at hand", {
    hint: "give --admin-token @FILE or DRAGONFLY_ADMIN_TOKEN; the first one is in the data directory of df config",
  });
}

/** The CA of the service that wrote an admin token's file; undefined: none lies there. PEM. */
function caBeside(adminToken: string | undefined): string | undefined {
  return adminToken?.startsWith("@") === true ? readCaIn(dirname(adminToken.slice(1))) : undefined;
}

/** What vouches for replicas of the fleet that is here; undefined: a proxy in front of them proves itself. */
function caOf(own: OwnService | undefined): string | undefined {
  return own?.url?.startsWith("https:") === true ? own.ca : undefined;
}
