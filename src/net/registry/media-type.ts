// The media types of manifests: which are asked for, and which one a manifest's own bytes tell.

import { jsonOrUndefined } from "../json-or-undefined.ts";

/** Every type that engines of this decade understand, images before indexes (OCI image specification). */
export const MANIFEST_MEDIA_TYPES = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
] as const;

/**
 * For a manifest asked for by digest, whose type the digest has decided: a registry may hide what the list
 * does not name (distribution 2.8 answers 404 for it), and the wildcard alone is not heeded.
 */
export const MANIFEST_ACCEPT = [...MANIFEST_MEDIA_TYPES, "*/*"].join(", ");

/** The specification lets registries refuse larger ones. */
export const MANIFEST_BYTES_MAX = 4 << 20;

/** Null: neither, e.g. an artefact's type, or that of Docker's first schema. */
export function manifestKindOf(type: string): "index" | "image" | null {
  if (!MANIFEST_MEDIA_TYPES.some((known) => known === type)) return null;
  return /index|list/.test(type) ? "index" : "image";
}

/** What of a manifest says which kind it is. */
const TELLING_NAMES = ["mediaType", "schemaVersion", "manifests", "layers", "config"];

const MEDIA_TYPE = /^[\w.+-]{1,127}\/[\w.+-]{1,127}$/;

/**
 * The type that a manifest's bytes tell; null where they contradict themselves, or what they came as. The
 * same bytes must not be an image to one engine and an index to another (CVE-2021-41190): who calls
 * itself one of the two has nothing of the other.
 * @param contentType as a registry gave it; null: not known
 */
export function manifestTypeOf(bytes: Uint8Array, contentType: string | null): string | null {
  const json = jsonOrUndefined(new TextDecoder().decode(bytes));
  if (typeof json !== "object" || json === null || Array.isArray(json)) return null;
  // Some engines read names without regard to case: to them another spelling would say something.
  const isMisspelt = (name: string): boolean =>
    TELLING_NAMES.some(
      (telling) => telling !== name && telling.toLowerCase() === name.toLowerCase(),
    );
  if (Object.keys(json).some(isMisspelt)) return null;
  const { mediaType, schemaVersion, manifests, layers, config } = json as Record<string, unknown>;
  const isIndex = manifests !== undefined;
  const isImage = layers !== undefined || config !== undefined;
  if (isIndex && isImage) return null;
  const told = contentType?.split(";")[0]!.trim().toLowerCase() ?? null;
  if (mediaType !== undefined && (typeof mediaType !== "string" || !MEDIA_TYPE.test(mediaType)))
    return null;
  if (mediaType !== undefined && told !== null && told !== mediaType.toLowerCase()) return null;
  const type = mediaType ?? told ?? typeWithoutWords(schemaVersion, isIndex);
  const kind = manifestKindOf(type);
  return (kind === "index" && isImage) || (kind === "image" && isIndex) ? null : type;
}

/** Only OCI's types may go without naming themselves; so did Docker's first schema. */
function typeWithoutWords(schemaVersion: unknown, isIndex: boolean): string {
  if (schemaVersion === 1) return "application/vnd.docker.distribution.manifest.v1+prettyjws";
  return MANIFEST_MEDIA_TYPES[isIndex ? 1 : 0];
}
