// What makes a task's bytes differ, as every message names it; the receiver computes the task ID from it.

import { z } from "zod";

/**
 * Fields that may be written into a request (RFC 9110 §5.1, §5.5): a name is a token, a value holds no
 * control characters.
 */
export const headersSchema = z.record(
  z
    .string()
    .max(256)
    .regex(/^[\w!#$%&'*+.^`|~-]+$/),
  z
    .string()
    .max(8192)
    .regex(/^[\t\x20-\x7e\x80-\xff]*$/),
);

/** What only the asking user may hold. Travels over TLS or loopback alone, is never stored or logged. */
export const credentialsSchema = z.object({
  /** The URL as the user gave it: with user info and signed query. */
  url: z.string().max(8192),
  /** All header fields that are not neutral. */
  headers: headersSchema,
});
export type Credentials = z.infer<typeof credentialsSchema>;

/** What the whole must have, as formatChecksum writes it; "": nothing was asked. No other algorithm counts. */
export const checksumSchema = z.string().regex(/^(?:sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})?$/i);

/**
 * What of a registry a URL names (OCI distribution specification, "Pull"). A blob, and a manifest asked for by
 * digest, is named by the `sha256:` digest in its path, which `checksum` repeats: requests for one digest at one
 * origin are one task, whatever the repository. A tag is asked for at the registry again and again.
 */
export const registryKindSchema = z.enum(["blob", "manifest", "tag"]);
export type RegistryKind = z.infer<typeof registryKindSchema>;

export const taskSchema = z.object({
  /** Of a private task without user info and signature. */
  url: z.string().max(8192),
  headers: headersSchema.default({}),
  tag: z.string().max(256).default(""),
  filterQuery: z.array(z.string().max(256)).max(64).default([]),
  checksum: checksumSchema.default(""),
  /** Makes the task private: shared only with those whom the source gives it too. */
  credentials: credentialsSchema.optional(),
  /** Pieces travel and rest sealed though the task is public. */
  isSealed: z.boolean().optional(),
  /** The URL is of a registry's pull API: see registryKindSchema. */
  registryKind: registryKindSchema.optional(),
});
export type TaskRequest = z.infer<typeof taskSchema>;
