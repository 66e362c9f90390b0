// `df token create|list|revoke`: who may administer a fleet and who may join it, asked of `df config`.

import { type CommandDef, defineCommand } from "citty";
import { z } from "zod";
import { DfError } from "../../errors.ts";
import type { AdminClient } from "../../net/admin-client.ts";
import {
  adminRoleSchema,
  createdTokenSchema,
  joinRoleSchema,
  type NewToken,
  type Token,
  tokenSchema,
} from "../../net/wire/admin-api.ts";
import { ADMIN_FLAGS, adminClientOf } from "../command-line/admin-flags.ts";
import type { Flag, ParsedFlags } from "../command-line/flags.ts";
import { parseCount, parseDuration } from "../command-line/quantities.ts";

export const FLAGS: readonly Flag[] = [
  {
    name: "role",
    value: "ROLE",
    help: "admin, operator or viewer; or supernode or peer: the only role that may join",
  },
  { name: "cluster", value: "NAME", help: "the only cluster that may be joined" },
  { name: "uses", value: "N", help: "how many machines may join with it (any number)" },
  { name: "expires", value: "TIME", help: "how long it is good, up to 24d (for ever)" },
  { name: "comment", value: "TEXT", help: "what it is for" },
  { name: "credentials", help: "revoke also what was joined with the token" },
  { name: "json", help: "the answer as JSON" },
  ...ADMIN_FLAGS,
];

const command: CommandDef = defineCommand({
  meta: { name: "token", description: "make, list and revoke the tokens of a fleet" },
  async run({ data }) {
    const flags = data as ParsedFlags;
    const [verb, ...rest] = flags.positionals;
    if (verb === "create" && rest.length === 0) return create(flags);
    if (verb === "list" && rest.length === 0) return list(flags);
    if (verb === "revoke" && rest.length === 1) return revoke(flags, rest[0]!);
    throw new DfError(
      "usage",
      `read df ${["token", ...flags.positionals].join(" ")}: not a whole command`,
      {
        hint: "write df token create, df token list or df token revoke ID",
      },
    );
  },
});
export default command;

/** stdout has the secret alone, for scripts; what it is goes to stderr. */
async function create(flags: ParsedFlags): Promise<void> {
  const body = newToken(flags);
  const created = await adminClientOf(flags).ask(
    { method: "POST", path: "tokens", body },
    createdTokenSchema,
  );
  if (flags.values.has("json")) {
    console.log(JSON.stringify(created));
    return;
  }
  process.stderr.write(`${describe(created)}\n`);
  console.log(created.joinString ?? created.secret);
}

async function list(flags: ParsedFlags): Promise<void> {
  const { tokens } = await adminClientOf(flags).ask(
    { method: "GET", path: "tokens" },
    z.object({ tokens: z.array(tokenSchema) }),
  );
  if (flags.values.has("json")) console.log(JSON.stringify(tokens));
  else console.log(tokens.map(describe).join("\n"));
}

async function revoke(flags: ParsedFlags, id: string): Promise<void> {
  const client: AdminClient = adminClientOf(flags);
  const withCredentials = flags.values.has("credentials");
  const query = withCredentials ? "?credentials=true" : "";
  await client.tell({ method: "DELETE", path: `tokens/${encodeURIComponent(id)}${query}` });
  process.stderr.write(
    `token ${id} is revoked${withCredentials ? ", with what was joined by it" : ""}\n`,
  );
}

/** @throws {DfError} usage */
function newToken(flags: ParsedFlags): NewToken {
  const text = (name: string): string | undefined => flags.values.get(name)?.at(-1);
  const [role, cluster, uses, expires] = ["role", "cluster", "uses", "expires"].map(text);
  const common = {
    comment: text("comment") ?? "",
    ...(expires === undefined
      ? {}
      : { expiresInSeconds: Math.ceil(parseDuration("--expires", expires) / 1000) }),
  };
  const adminRole = adminRoleSchema.safeParse(role);
  if (adminRole.success) {
    if (cluster !== undefined || uses !== undefined) {
      throw new DfError("usage", `make a token with the role ${role}: it does not join clusters`, {
        hint: "leave --cluster and --uses out",
      });
    }
    return { kind: "admin", role: adminRole.data, ...common };
  }
  const joinRole = joinRoleSchema.optional().safeParse(role);
  if (!joinRole.success) {
    throw new DfError("usage", `read --role ${role}: no such role`, {
      hint: "one of admin, operator, viewer; supernode, peer; none: both may join",
    });
  }
  return {
    kind: "join",
    ...common,
    ...(joinRole.data === undefined ? {} : { role: joinRole.data }),
    ...(cluster === undefined ? {} : { cluster }),
    ...(uses === undefined
      ? {}
      : { usesMax: parseCount("--uses", uses, { min: 1, max: 1_000_000 }) }),
  };
}

function describe(token: Token): string {
  const { id, kind, role, cluster, usesMax, useCount, expiresAt, revokedAt, comment } = token;
  return [
    ...[id, kind, role ?? "any role"],
    ...(cluster === null ? [] : [`cluster ${cluster}`]),
    ...(kind === "join" ? [`used ${useCount}${usesMax === null ? "" : ` of ${usesMax}`}`] : []),
    ...(expiresAt === null ? [] : [`until ${new Date(expiresAt).toISOString()}`]),
    ...(revokedAt === null ? [] : [`revoked ${new Date(revokedAt).toISOString()}`]),
    ...(comment === "" ? [] : [comment]),
  ].join("  ");
}
