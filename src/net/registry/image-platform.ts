// Platforms of images: what a user asks for, "linux/amd64" or "linux/arm/v7", and which entries of an index
// that is.
// @see OCI image specification, "Image Index"

import { z } from "zod";
import { DfError } from "../../errors.ts";
import { jsonOrUndefined } from "../json-or-undefined.ts";

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** Undefined: any. */
  readonly variant?: string | undefined;
}

const configSchema = z.object({
  os: z.string().max(64),
  architecture: z.string().max(64),
  variant: z.string().max(64).optional(),
});

/** Null: all that the index lists. */
export type PlatformChoice = readonly Platform[] | null;

const PLATFORM = /^([a-z0-9]{1,32})\/([a-z0-9_]{1,32})(?:\/([a-z0-9.]{1,32}))?$/;

/** As images name what Node calls otherwise. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" };

/** Images for this machine. Linux, whatever runs here: engines elsewhere run such images as well. */
export function ownPlatform(): Platform {
  return { os: "linux", architecture: ARCHITECTURES[process.arch] ?? process.arch };
}

/** Reads "linux/amd64,linux/arm/v7" or "all"; null for what is neither. */
export function parsePlatforms(text: string): { choice: PlatformChoice } | null {
  if (text === "all") return { choice: null };
  const choice: Platform[] = [];
  for (const one of text.split(",")) {
    const match = PLATFORM.exec(one.trim());
    if (match === null) return null;
    choice.push({ os: match[1]!, architecture: match[2]!, variant: match[3] });
  }
  return { choice };
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join("/");
}

/** @param platform of an index entry; undefined: it names none, and is for everybody */
export function isChosen(choice: PlatformChoice, platform: Platform | undefined): boolean {
  if (platform === undefined) return true;
  // What build tools attach to an image, e.g. where it comes from, has a platform that is none.
  if (platform.os === "unknown" || platform.architecture === "unknown") return false;
  if (choice === null) return true;
  return choice.some(
    ({ os, architecture, variant }) =>
      os === platform.os &&
      architecture === platform.architecture &&
      (variant === undefined || variant === variantOf(platform)),
  );
}

/** The variant that images mean where they name none. */
function variantOf({ architecture, variant }: Platform): string | undefined {
  if (variant !== undefined && variant !== "") return variant;
  return { arm: "v7", arm64: "v8", amd64: "v1" }[architecture];
}

/** The settings of an image, as manifests name them; those of other things tell no platform. */
const CONFIG_TYPES: readonly string[] = [
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.docker.container.image.v1+json",
];

export function tellsPlatform(mediaType: string): boolean {
  return CONFIG_TYPES.includes(mediaType);
}

/** What an image's settings say it is for; undefined: nothing. */
export function platformOfConfig(bytes: Uint8Array): Platform | undefined {
  const words = configSchema.safeParse(jsonOrUndefined(new TextDecoder().decode(bytes)));
  return words.success && words.data.os !== "" && words.data.architecture !== ""
    ? words.data
    : undefined;
}

/** @throws {DfError} not-found */
export function noSuchPlatform(
  what: string,
  choice: readonly Platform[],
  listed: readonly Platform[],
): DfError {
  const wanted = choice.map(formatPlatform).join(", ");
  const has = [...new Set(listed.map(formatPlatform))].join(", ");
  return new DfError("not-found", `resolve ${what}: it is not there for ${wanted}`, {
    hint: has === "" ? "its index is empty" : `it is there for ${has}`,
  });
}
