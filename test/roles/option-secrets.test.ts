// What an accidental print of a command's options shows: none of the secrets that they were given.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { newIdentity } from "../../src/roles/peer/host-identity.ts";
import { AdminClient } from "../../src/net/admin-client.ts";
import { formatJoinString } from "../../src/net/fleet/join-string.ts";
import { ADMIN_FLAGS, adminClientOf } from "../../src/roles/command-line/admin-flags.ts";
import { type Flag, type ParsedFlags, parseFlags } from "../../src/roles/command-line/flags.ts";
import {
  FLAGS as CONFIG_FLAGS,
  readOptions as readConfigOptions,
} from "../../src/roles/config/command.ts";
import { FLAGS as GET_FLAGS } from "../../src/roles/get/flags.ts";
import { readOptions as readGetOptions } from "../../src/roles/get/options.ts";
import { FLAGS as PEER_FLAGS, readPeerOptions } from "../../src/roles/peer/peer-options.ts";
import {
  FLAGS as SUPERNODE_FLAGS,
  readOptions as readSupernodeOptions,
} from "../../src/roles/supernode/command.ts";

const CANARY = "c4n4ry";
const PROXY = `http://me:${CANARY}@proxy:3128`;
const JOIN = formatJoinString({
  urls: ["http://10.0.0.2:8000"],
  token: `dfj_${CANARY}`,
  fleetKey: Buffer.alloc(32, 7).toString("base64"),
});

/** As `Authorization` would show it. */
const BASIC = Buffer.from(`me:${CANARY}`).toString("base64");

interface Row {
  name: string;
  flags: readonly Flag[];
  read: (parsed: ParsedFlags, env: Record<string, string>) => unknown;
  args: string[];
  env: Record<string, string>;
}

const READERS: readonly Row[] = [
  {
    name: "df peer",
    flags: PEER_FLAGS,
    read: (parsed, env) => readPeerOptions(parsed, env, 1000),
    args: ["--join", JOIN, "--source-proxy", `*=${PROXY}`],
    env: { DRAGONFLY_JOIN: JOIN },
  },
  {
    name: "df get",
    flags: GET_FLAGS,
    read: (parsed, env) => readGetOptions(parsed, { env, isStderrTty: false }),
    args: [
      "http://a.test/",
      "--user",
      `me:${CANARY}`,
      "--join",
      JOIN,
      "--source-proxy",
      `*=${PROXY}`,
    ],
    env: { DRAGONFLY_JOIN: JOIN, http_proxy: PROXY, https_proxy: PROXY },
  },
  {
    name: "df supernode",
    flags: SUPERNODE_FLAGS,
    read: readSupernodeOptions,
    args: ["--join", JOIN, "--source-proxy", `*=${PROXY}`],
    env: { DRAGONFLY_JOIN: JOIN },
  },
  {
    name: "df config",
    flags: CONFIG_FLAGS,
    read: readConfigOptions,
    args: ["--database", `postgres://me:${CANARY}@db/fleet`],
    env: { DRAGONFLY_CONFIG_DATABASE: `postgres://me:${CANARY}@db/fleet` },
  },
  {
    name: "an administrator's command",
    flags: ADMIN_FLAGS,
    read: adminClientOf,
    args: ["--config-service", "http://127.0.0.1:1", "--admin-token", `dfa_${CANARY}`],
    env: { DRAGONFLY_CONFIG_SERVICE: "http://127.0.0.1:1", DRAGONFLY_ADMIN_TOKEN: `dfa_${CANARY}` },
  },
];

const before = { ...process.env };
beforeEach(() => {
  for (const { env } of READERS) for (const name of Object.keys(env)) delete process.env[name];
});
afterEach(() => {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
});

test.each(READERS)("T-35: what $name was told by flags shows no secret", (row) => {
  const options = row.read(parseFlags(row.args, row.flags), {});

  expect(shownOf(options)).toEqual([]);
  // They are there all the same.
  if (!(options instanceof AdminClient)) expect(Bun.inspect(options)).toContain("[redacted]");
});

test.each(READERS)("T-35: what $name was told by its environment shows no secret", (row) => {
  Object.assign(process.env, row.env);
  const args = row.flags === GET_FLAGS ? ["http://a.test/"] : [];

  const options = row.read(parseFlags(args, row.flags), row.env);

  expect(shownOf(options)).toEqual([]);
});

test("T-35: an identity shows no private key", () => {
  const identity = newIdentity();

  expect(shownOf(identity, identity.privateKey.reveal())).toEqual([]);
});

/** The ways of printing that told one of `secrets`. */
function shownOf(value: unknown, ...secrets: string[]): string[] {
  const ways = {
    inspect: Bun.inspect(value, { depth: 20 }),
    json: JSON.stringify(value),
    text: String(value),
    cause: Bun.inspect(new Error("failed", { cause: value })),
  };
  return Object.entries(ways)
    .filter(([, shown]) => [CANARY, JOIN, BASIC, ...secrets].some((text) => shown.includes(text)))
    .map(([way]) => way);
}
