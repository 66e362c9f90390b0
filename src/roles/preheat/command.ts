// `df preheat URL…` and `df preheat image NAME`: bring contents to supernodes or hosts before anyone asks;
// `df preheat list`, `show ID` and `cancel ID`. A thin client of the API of `df config`.

import { readFileSync } from "node:fs";
import { type CommandDef, defineCommand } from "citty";
import { DfError, messageOf } from "../../errors.ts";
import type { AdminClient } from "../../net/admin-client.ts";
import {
  type NewPreheat,
  type Preheat,
  preheatSchema,
  preheatsPageSchema,
  preheatTargetsPageSchema,
} from "../../net/wire/preheat-api.ts";
import { ADMIN_FLAGS, adminClientOf } from "../command-line/admin-flags.ts";
import type { Flag, ParsedFlags } from "../command-line/flags.ts";
import { listItems } from "../command-line/list-items.ts";
import { parseDuration } from "../command-line/quantities.ts";
import { readImageRequest } from "./image-request.ts";
import { waitForPreheat } from "./wait-for-preheat.ts";

export const FLAGS: readonly Flag[] = [
  {
    name: "input-file",
    aliases: ["i"],
    value: "FILE",
    help: "URLs, one a line; - reads them from stdin",
  },
  { name: "clusters", value: "NAME,…", help: "only these clusters (all)" },
  {
    name: "scope",
    value: "SCOPE",
    help: "supernodes, peers, a share of the peers as 25%, or labels as idc=eu,rack=r1 (supernodes)",
  },
  {
    name: "header",
    aliases: ["H"],
    value: "NAME: VALUE",
    help: "sent to the sources; repeatable. Of an image: Authorization, or @FILE with it",
  },
  { name: "header-public", value: "NAME", help: "a --header whose value is no secret; repeatable" },
  {
    name: "platform",
    value: "OS/ARCH,…",
    help: "of an image: linux/amd64, linux/arm/v7 or all (linux on the kind of machine of df config)",
  },
  {
    name: "user",
    value: "NAME:PASSWORD",
    help: "who may have the image at its registry; @FILE reads it from a file",
  },
  { name: "tag", value: "TEXT", help: "as given to df get" },
  { name: "filter-query", value: "NAME,…", help: "query parameters that change no bytes" },
  { name: "encrypt", help: "seal the pieces, for those who get it with --encrypt" },
  { name: "keep", value: "TIME", help: "how long it is kept from eviction (1d)" },
  { name: "refresh", value: "TIME", help: "do it again so often, e.g. 6h" },
  { name: "key", value: "TEXT", help: "the same request with the same key makes one job for ever" },
  { name: "wait", help: "return when all that can be reached have it; exit 1 when one could not" },
  { name: "json", help: "the answer as JSON" },
  ...ADMIN_FLAGS,
];

const command: CommandDef = defineCommand({
  meta: { name: "preheat", description: "bring contents before anyone asks" },
  async run({ data }) {
    const flags = data as ParsedFlags;
    const [verb, id, ...rest] = flags.positionals;
    const client = adminClientOf(flags);
    if (verb === "list" && id === undefined) return list(flags, client);
    const isOfOne = id !== undefined && rest.length === 0;
    if (verb === "show" && isOfOne) return show(flags, client, await one(client, "GET", id));
    if (verb === "cancel" && isOfOne) return tell(flags, await one(client, "DELETE", id));
    if (verb === "list" || verb === "show" || verb === "cancel") {
      throw new DfError(
        "usage",
        `read df preheat ${flags.positionals.join(" ")}: not a whole command`,
        {
          hint: "write df preheat list, df preheat show ID or df preheat cancel ID",
        },
      );
    }
    if (verb === "image") return orderImage(flags, client);
    return order(flags, client, { path: "preheats", body: readRequest(flags) });
  },
});
export default command;

async function orderImage(flags: ParsedFlags, client: AdminClient): Promise<void> {
  const body = readImageRequest(flags, flags.positionals.slice(1), readWish(flags));
  if (body.authorization !== undefined && !client.isConfidential) {
    throw new DfError("denied", "send a registry's credentials to df config: others could listen", {
      hint: "df config speaks TLS wherever others can reach it: --config-service https://…",
    });
  }
  await order(flags, client, { path: "preheats/images", body });
}

async function order(
  flags: ParsedFlags,
  client: AdminClient,
  request: { path: string; body: unknown },
): Promise<void> {
  const key = flags.values.get("key")?.at(-1);
  const headers: Record<string, string> = key === undefined ? {} : { "idempotency-key": key };
  const made = await client.ask({ method: "POST", ...request, headers }, preheatSchema);
  if (!flags.values.has("wait")) return tell(flags, made);
  if (!flags.values.has("json")) process.stderr.write(`${describe(made)}\n`);
  const ended = await waitForPreheat(client, made.id, process.stderr);
  await show(flags, client, ended);
  if (ended.counts.failed > 0 || ended.state === "cancelled") process.exitCode = 1;
}

async function list(flags: ParsedFlags, client: AdminClient): Promise<void> {
  const { preheats } = await client.ask({ method: "GET", path: "preheats" }, preheatsPageSchema);
  if (flags.values.has("json")) console.log(JSON.stringify(preheats));
  else if (preheats.length > 0) console.log(preheats.map(describe).join("\n"));
}

/** @throws {DfError} usage, as AdminClient.ask */
async function one(client: AdminClient, method: "GET" | "DELETE", id: string): Promise<Preheat> {
  if (!PREHEAT_ID.test(id)) {
    throw new DfError("usage", `find preheat ${id}: not an id`, {
      hint: "df preheat list shows the ids, 20 hex digits each",
    });
  }
  return client.ask({ method, path: `preheats/${encodeURIComponent(id)}` }, preheatSchema);
}

/** @throws {DfError} usage, file-unreadable */
function readRequest(flags: ParsedFlags): NewPreheat {
  const urls = [...flags.positionals, ...urlsOfFile(textOf(flags, "input-file"))];
  if (urls.length === 0) {
    throw new DfError("usage", "preheat: no URL is given", {
      hint: "write df preheat URL… or -i FILE",
    });
  }
  const wrong = urls.find((url) => !/^https?:/i.test(url));
  if (wrong !== undefined) {
    throw new DfError("usage", `preheat ${wrong}: no http or https URL`, {
      hint: "an image is ordered with df preheat image NAME",
    });
  }
  const ofImages = ["platform", "user"].find((name) => flags.values.has(name));
  if (ofImages !== undefined) {
    throw new DfError("usage", `preheat: --${ofImages} is for images`, {
      hint: "write df preheat image NAME",
    });
  }
  const [tag, refreshSeconds] = [textOf(flags, "tag"), secondsOf(flags, "refresh")];
  return {
    ...{ urls, headers: headersOf(flags), publicHeaders: listOf(flags, "header-public") },
    ...{ ...readWish(flags), filterQuery: listOf(flags, "filter-query") },
    ...(tag === undefined ? {} : { tag }),
    ...(flags.values.has("encrypt") ? { isSealed: true } : {}),
    ...(refreshSeconds === undefined ? {} : { refreshSeconds }),
  };
}

/** What is said alike of URLs and images. */
function readWish(flags: ParsedFlags): Pick<NewPreheat, "scope" | "clusters" | "keepSeconds"> {
  const [scope, keepSeconds] = [textOf(flags, "scope"), secondsOf(flags, "keep")];
  return {
    clusters: listOf(flags, "clusters"),
    ...(scope === undefined ? {} : { scope }),
    ...(keepSeconds === undefined ? {} : { keepSeconds }),
  };
}

function textOf(flags: ParsedFlags, name: string): string | undefined {
  return flags.values.get(name)?.at(-1);
}

function listOf(flags: ParsedFlags, name: string): string[] {
  return listItems(flags.values.get(name) ?? []);
}

function secondsOf(flags: ParsedFlags, name: string): number | undefined {
  const given = textOf(flags, name);
  return given === undefined ? undefined : Math.ceil(parseDuration(`--${name}`, given) / 1000);
}

function urlsOfFile(path: string | undefined): string[] {
  if (path === undefined) return [];
  try {
    const text = readFileSync(path === "-" ? "/dev/stdin" : path, "utf8");
    const lines = text.split("\n").map((line) => line.trim());
    return lines.filter((line) => line !== "" && !line.startsWith("#"));
  } catch (cause) {
    throw new DfError("file-unreadable", `read the URLs in ${path}: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** @throws {DfError} usage; values are not repeated */
function headersOf(flags: ParsedFlags): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [index, line] of (flags.values.get("header") ?? []).entries()) {
    const match = /^([!#$%&'*+.^_`|~\w-]+):\s*(.*)$/.exec(line);
    if (match === null) {
      throw new DfError("usage", `read --header number ${index + 1}: no header`, {
        hint: 'write --header "Name: value"',
      });
    }
    headers[match[1]!] = match[2]!;
  }
  return headers;
}

const PREHEAT_ID = /^[0-9a-f]{20}$/;

/** As `tell`, with what failed and why: the machines that it failed on are counted, not named. */
async function show(flags: ParsedFlags, client: AdminClient, preheat: Preheat): Promise<void> {
  tell(flags, preheat);
  if (flags.values.has("json")) return;
  if (preheat.error !== null) console.log(`  ${preheat.error.message}`);
  if (preheat.counts.failed === 0) return;
  const path = `preheats/${preheat.id}/targets?state=failed&limit=1000`;
  const { targets } = await client.ask({ method: "GET", path }, preheatTargetsPageSchema);
  const machines = new Map<string, number>();
  for (const { url, error } of targets) {
    const reason = error?.message ?? "no reason is known";
    const told = reason.includes(url) ? reason : `${url}: ${reason}`;
    machines.set(told, (machines.get(told) ?? 0) + 1);
  }
  for (const [told, count] of machines) {
    console.log(`  ${told} (on ${count === 1 ? "1 machine" : `${count} machines`})`);
  }
}

function tell(flags: ParsedFlags, preheat: Preheat): void {
  console.log(flags.values.has("json") ? JSON.stringify(preheat) : describe(preheat));
}

function describe({ id, state, scope, urls, image, counts, round, nextRunAt }: Preheat): string {
  const what = image?.name ?? (urls.length === 1 ? "1 URL" : `${urls.length} URLs`);
  const shown = Object.entries(counts).filter(([, count]) => count > 0);
  return [
    ...[id, state, scope, what],
    ...shown.map(([name, count]) => `${count} ${name}`),
    ...(nextRunAt === null ? [] : [`round ${round}, next ${new Date(nextRunAt).toISOString()}`]),
  ].join("  ");
}
