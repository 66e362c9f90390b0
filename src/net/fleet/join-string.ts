// The one line that an operator pastes to make a machine part of a fleet:
//
//   df1.<base64url of {"urls":["http://…:8000"],"token":"dfj_…","fleetKey":"…"}>
//
// It names the fleet's `df config` replicas, carries the right to join, and pins the key by which the
// machine knows its fleet again.

import { z } from "zod";
import { Secret } from "../../engine/bytes/secret.ts";
import { DfError } from "../../errors.ts";

const PREFIX = "df1.";

/** Far more than the replicas and names of any fleet need. */
const JOIN_STRING_CHARS_MAX = 16 << 10;

const joinStringSchema = z.object({
  urls: z
    .array(z.url({ protocol: /^https?$/ }))
    .min(1)
    .max(16),
  /** Absent where the fleet lets everybody join. */
  token: z.string().max(256).optional(),
  /** Whether a proxy answers there, with a certificate that any machine believes: not the fleet's own. */
  isProxied: z.boolean().optional(),
  /** Raw Ed25519, base64. */
  fleetKey: z.base64().length(44),
});
export type JoinString = z.infer<typeof joinStringSchema>;

/** What was read; the right to join is not shown by accident. */
export type ReadJoinString = Omit<JoinString, "token"> & {
  token?: Secret<string> | undefined;
};

export function formatJoinString(join: JoinString): string {
  return PREFIX + Buffer.from(JSON.stringify(join)).toString("base64url");
}

/**
 * Reads the string, with or without white space around it.
 * @throws {DfError} usage; the message never repeats the string, which is a secret
 */
export function parseJoinString(text: string): ReadJoinString {
  const bare = text.trim();
  const found = bare.length <= JOIN_STRING_CHARS_MAX ? decode(bare) : null;
  if (found !== null) {
    const { token, ...place } = found;
    return token === undefined ? place : { ...place, token: new Secret(token) };
  }
  throw new DfError("usage", "read the join string: it is damaged or not one", {
    hint: "copy the whole line that df config printed (df1.…), or make a new one: df token create",
  });
}

function decode(text: string): JoinString | null {
  if (!text.startsWith(PREFIX)) return null;
  try {
    const json: unknown = JSON.parse(
      Buffer.from(text.slice(PREFIX.length), "base64url").toString("utf8"),
    );
    return joinStringSchema.parse(json);
  } catch {
    return null;
  }
}
