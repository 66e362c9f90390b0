// The flags by which a machine finds its fleet and says what it is: the same for all roles.

import { DfError } from "../../errors.ts";
import { redactUrl } from "../../net/task-request.ts";
import { parseJoinString } from "../../net/fleet/join-string.ts";
import type { FleetAddress } from "../../net/fleet/membership.ts";
import { isOwnMachine } from "../../net/swarm/is-confidential.ts";
import { labelsSchema, type Labels } from "../../net/wire/fleet-api.ts";
import type { Flag } from "./flags.ts";
import { listItems } from "./list-items.ts";
import { readSecret } from "./secret.ts";

export const JOIN_FLAG: Flag = {
  name: "join",
  variable: "DRAGONFLY_JOIN",
  value: "STRING",
  help: "the line that df config gives; @FILE reads it from a file (DRAGONFLY_JOIN)",
};

export const CONFIG_SERVICE_FLAG: Flag = {
  name: "config-service",
  variable: "DRAGONFLY_CONFIG_SERVICE",
  value: "URL,…",
  help: "df config of a fleet that everybody may join (DRAGONFLY_CONFIG_SERVICE)",
};

export const LABEL_FLAG: Flag = {
  name: "label",
  variable: "DRAGONFLY_LABELS",
  value: "KEY=VALUE",
  help: "what this host is: idc, rack, location (asia|cn|…), zone, own ones; repeatable",
};

/** Reads `--join`; "@path" names a file that holds it. @throws {DfError} usage, file-unreadable */
export function parseJoin(flag: string, text: string): FleetAddress {
  return parseJoinString(readSecret(flag, text).reveal());
}

/** Reads `--config-service`. @throws {DfError} usage */
export function parseConfigService(flag: string, text: string): FleetAddress {
  const urls = listItems([text]).map(withScheme);
  if (urls.length > 0 && urls.every(isServiceUrl)) return { urls };
  const shown = urls.map(redactUrl).join(",");
  throw new DfError("usage", `read ${flag} ${shown}: not an address of df config`, {
    hint: `write ${flag} https://HOST:8000, several separated by commas`,
  });
}

/** A user or password in it would be a mistake that every message about it repeats. */
export function isServiceUrl(text: string): boolean {
  if (!URL.canParse(text) || !/^https?:/.test(text)) return false;
  const { username, password } = new URL(text);
  return username === "" && password === "";
}

/** Reads "key=value" texts, each perhaps several separated by commas. @throws {DfError} usage */
export function parseLabels(flag: string, texts: readonly string[]): Labels {
  const labels: Labels = {};
  for (const text of texts.flatMap((list) => list.split(","))) {
    const [, key, value] = /^([A-Za-z0-9][\w./-]*)=(.*)$/.exec(text.trim()) ?? [];
    if (key === undefined || value === undefined) {
      throw new DfError("usage", `read ${flag} ${text}: not a label`, {
        hint: `write ${flag} idc=paris, ${flag} 'location=europe|fr|paris'`,
      });
    }
    labels[key] = value;
  }
  if (labelsSchema.safeParse(labels).success) return labels;
  throw new DfError("usage", `read ${flag}: too many or too long labels`, {
    hint: "at most 64, keys up to 64 and values up to 256 characters",
  });
}

/** A bare "host:port" as `df config` listens there by itself: over TLS, on loopback plain. */
export function withScheme(address: string): string {
  if (address.includes("://")) return address;
  const isLoopback = URL.canParse(`http://${address}`) && isLoopbackUrl(`http://${address}`);
  return `${isLoopback ? "http" : "https"}://${address}`;
}

/** Whether the fleet lives on this machine alone: then so does what joins it. */
export function isLoopbackFleet({ urls }: FleetAddress): boolean {
  return urls.every(isLoopbackUrl);
}

/** Whether nobody but this machine answers there. */
export function isLoopbackUrl(url: string): boolean {
  return isOwnMachine(new URL(url).hostname);
}
