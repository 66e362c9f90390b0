// What a manifest says that an image is made of: an index names manifests, an image's manifest its config
// and layers. Nothing of it is believed that its digest and its own words do not bear out: the same bytes
// must not be an image to one reader and an index to another (CVE-2021-41190).
// @see OCI image specification, "Image Manifest", "Image Index"; Docker image manifest version 2, schema 2

import { z } from "zod";
import { digestNow, toHex } from "../../engine/bytes/digest.ts";
import { DfError } from "../../errors.ts";
import { jsonOrUndefined } from "../json-or-undefined.ts";
import { manifestKindOf, manifestTypeOf } from "./media-type.ts";
import { isSha256 } from "./oci-path.ts";

/** What an entry of a manifest says of the bytes that it names. */
const descriptorSchema = z.object({
  mediaType: z.string().max(256),
  /** Of any algorithm that the specification allows. */
  digest: z.string().regex(/^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]{1,256}$/),
  size: z.int().min(0),
});
export type Descriptor = z.infer<typeof descriptorSchema>;

const platformSchema = z.object({
  os: z.string().max(64),
  architecture: z.string().max(64),
  variant: z.string().max(64).optional(),
});

const indexEntrySchema = descriptorSchema.extend({ platform: platformSchema.optional() });
export type IndexEntry = z.infer<typeof indexEntrySchema>;

/** Engines stop at 128 layers; artefacts may have more. */
const ENTRIES_MAX = 4_096;

export type ImageManifest =
  | { readonly kind: "index"; readonly manifests: readonly IndexEntry[] }
  /** The config first, then the layers from the lowest up. */
  | { readonly kind: "image"; readonly blobs: readonly Descriptor[] };

const indexSchema = z
  .object({
    schemaVersion: z.literal(2),
    manifests: z.array(indexEntrySchema).max(ENTRIES_MAX),
  })
  .transform(({ manifests }): ImageManifest => ({ kind: "index", manifests }));

const imageSchema = z
  .object({
    schemaVersion: z.literal(2),
    config: descriptorSchema,
    layers: z.array(descriptorSchema).max(ENTRIES_MAX),
  })
  .transform(({ config, layers }): ImageManifest => ({
    kind: "image",
    blobs: [config, ...layers],
  }));

/** Layers that their publisher lets nobody pass on: engines read them at other places than the registry. */
const FOREIGN_LAYER = /\.foreign\.|\.nondistributable\./;

/** A manifest as a registry gave it. */
export interface RawManifest {
  readonly bytes: Uint8Array;
  /** The header field; null: there was none. */
  readonly contentType: string | null;
}

/** What must be true of a manifest; null: not known. */
export interface ExpectedManifest {
  /** For messages. */
  readonly what: string;
  readonly digest: string | null;
  /** The type and length of the descriptor that led to it. */
  readonly descriptor: Descriptor | null;
}

/** "sha256:…" of a manifest's bytes. */
export function digestOfManifest({ bytes }: Pick<RawManifest, "bytes">): string {
  return `sha256:${toHex(digestNow("sha256", bytes))}`;
}

/** @throws {DfError} checksum: it is not the one that was asked for; protocol */
export function readManifest(raw: RawManifest, expected: ExpectedManifest): ImageManifest {
  const { what, digest, descriptor } = expected;
  if (digest !== null && digestOfManifest(raw) !== digest) {
    throw new DfError("checksum", `resolve ${what}: the registry's manifest is not ${digest}`, {
      hint: "the registry, or what stands before it, gives other bytes than it names",
    });
  }
  const fault = (because: string): DfError =>
    new DfError("protocol", `resolve ${what}: ${because}`);
  if (descriptor !== null && descriptor.size !== raw.bytes.length) {
    throw fault(`the manifest has ${raw.bytes.length} bytes, its index says ${descriptor.size}`);
  }
  const type = typeOf(raw, fault);
  if (descriptor !== null && descriptor.mediaType !== type) {
    throw fault(`the manifest came as ${type}, its index says ${descriptor.mediaType}`);
  }
  const json = jsonOrUndefined(new TextDecoder().decode(raw.bytes));
  const words = (manifestKindOf(type) === "index" ? indexSchema : imageSchema).safeParse(json);
  if (words.success) return words.data;
  throw fault(`the manifest is none of the type ${type} that it came as`);
}

/** Whether a descriptor names bytes that the registry gives and that SHA-256 names. */
export function isBrought({ mediaType, digest }: Descriptor): boolean {
  return isSha256(digest) && !FOREIGN_LAYER.test(mediaType);
}

function typeOf({ bytes, contentType }: RawManifest, fault: (because: string) => DfError): string {
  const came = contentType ?? "";
  if (came === "") throw fault("the registry does not say what kind of manifest it gives");
  const type = manifestTypeOf(bytes, came);
  if (type === null) throw fault(`the manifest came as ${came} and is not what it calls itself`);
  if (manifestKindOf(type) !== null) return type;
  throw fault(`the manifest came as ${came}, which is none of an image's`);
}
