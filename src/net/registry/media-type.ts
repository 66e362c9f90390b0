// The media types of manifests: which are asked for, and which one a manifest's own bytes tell.

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
