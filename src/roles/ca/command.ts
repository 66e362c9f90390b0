// `df ca`: the CA by which this machine's proxy speaks TLS for hosts, and how programs come to trust it.

import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { type CommandDef, defineCommand } from "citty";
import { DfError } from "../../errors.ts";
import { isUrlPattern } from "../../net/url-pattern.ts";
import { writeError } from "../../store/file-errors.ts";
import { flagTexts } from "../command-line/flag-texts.ts";
import type { Flag, ParsedFlags } from "../command-line/flags.ts";
import { listItems } from "../command-line/list-items.ts";
import { defaultDataDir } from "../peer/peer-options.ts";
import {
  certificatePathOf,
  fingerprintOf,
  makeProxyCa,
  openProxyCa,
  type ProxyCa,
  readProxyCa,
} from "./proxy-ca.ts";
import { trustAdvice } from "./trust-advice.ts";

export const FLAGS: readonly Flag[] = [
  {
    name: "for",
    value: "HOST,…",
    help: "hosts that a new CA may speak for, as in --proxy-intercept; '*' for every host",
  },
  { name: "replace", help: "make a new CA in the place of the one that is there" },
  {
    name: "data-dir",
    variable: "DRAGONFLY_PEER_DATA_DIR",
    value: "DIR",
    help: "the peer's data directory (DRAGONFLY_PEER_DATA_DIR)",
  },
];

const command: CommandDef = defineCommand({
  meta: { name: "ca", description: "the CA by which this host's proxy opens TLS" },
  async run({ data }) {
    const flags = data as ParsedFlags;
    const [verb = "show", file, ...rest] = flags.positionals;
    const takesFile = verb === "export";
    if (rest.length > 0 || (file !== undefined && !takesFile)) throw notACommand(flags);
    const dataDir = dataDirOf(flags);
    const ca = await caOf(flags, dataDir);
    switch (verb) {
      case "show":
        console.log(describe(ca, certificatePathOf(dataDir)));
        break;
      case "path":
        console.log(certificatePathOf(dataDir));
        break;
      case "export":
        await exportTo(file, ca);
        break;
      default:
        throw notACommand(flags);
    }
  },
});
export default command;

/** @throws {DfError} usage, when there is none and nothing says for which hosts one is to be */
async function caOf(flags: ParsedFlags, dataDir: string): Promise<ProxyCa> {
  const hosts = listItems(flags.values.get("for") ?? []);
  const wrong = hosts.find((host) => !isUrlPattern(host) || host.includes("/"));
  if (wrong !== undefined) {
    throw new DfError("usage", `read --for ${wrong}: not a host`, {
      hint: "write HOST, *.HOST or '*'",
    });
  }
  const isNew = flags.values.get("replace")?.at(-1) === "true";
  const known = isNew ? undefined : readProxyCa(dataDir);
  if (known !== undefined && hosts.length === 0) return known;
  if (hosts.length === 0) {
    throw new DfError("usage", "show the CA: there is none yet", {
      hint: "say which hosts it may speak for: df ca show --for registry.example, or --for '*'",
    });
  }
  if (known !== undefined) throw otherHosts(known);
  return isNew ? makeProxyCa(dataDir, hosts) : openProxyCa(dataDir, hosts);
}

function otherHosts({ hosts }: ProxyCa): DfError {
  return new DfError("conflict", `make a CA: there is one, for ${hosts.join(", ")}`, {
    hint: "leave --for out, or add --replace: then clients must trust the new one",
  });
}

function describe(ca: ProxyCa, path: string): string {
  const { subject, validTo } = new X509Certificate(ca.certificate);
  const every = ca.hosts.includes("*");
  return [
    `subject      ${subject}`,
    `speaks for   ${every ? "every host: keep its key as you keep root's password" : ca.hosts.join(", ")}`,
    `good until   ${new Date(validTo).toISOString().slice(0, 10)}`,
    `SHA-256      ${fingerprintOf(ca)}`,
    `certificate  ${path}`,
    "",
    trustAdvice(path, ca.hosts),
    "",
    ca.certificate.trim(),
  ].join("\n");
}

async function exportTo(file: string | undefined, { certificate }: ProxyCa): Promise<void> {
  if (file === undefined || file === "-") return console.log(certificate.trim());
  try {
    await writeFile(file, `${certificate.trim()}\n`, { mode: 0o644 });
  } catch (error) {
    throw writeError(`write ${file}`, error);
  }
  process.stderr.write(`the certificate is in ${file}\n`);
}

function dataDirOf(flags: ParsedFlags): string {
  const given = flagTexts(FLAGS, flags, process.env)("data-dir").at(-1);
  return given || defaultDataDir(process.env, process.getuid?.() ?? -1);
}

function notACommand({ positionals }: ParsedFlags): DfError {
  return new DfError("usage", `read df ${["ca", ...positionals].join(" ")}: not a whole command`, {
    hint: "write df ca show, df ca path or df ca export [FILE]",
  });
}
