// `df preheat image NAME`: what its flags ask for, and how its user's credentials are read.

import { DfError } from "../../errors.ts";
import { basicOf } from "../../net/basic-authorization.ts";
import { type NewImagePreheat, newImagePreheatSchema } from "../../net/wire/preheat-api.ts";
import type { ParsedFlags } from "../command-line/flags.ts";
import { readSecret } from "../command-line/secret.ts";

/** Of preheats of URLs alone: an image says these itself, and its tag is asked for anew by who orders it. */
const NOT_OF_IMAGES = ["input-file", "header-public", "tag", "filter-query", "encrypt", "refresh"];

/** @param wish what all preheats have @throws {DfError} usage, file-unreadable */
export function readImageRequest(
  flags: ParsedFlags,
  images: readonly string[],
  wish: Pick<NewImagePreheat, "scope" | "clusters" | "keepSeconds">,
): NewImagePreheat {
  const [image, ...rest] = images;
  if (image === undefined || rest.length > 0) {
    throw new DfError("usage", `preheat image: ${images.length} names are given`, {
      hint: "write df preheat image NAME, e.g. ghcr.io/team/app:1.2; one order for each image",
    });
  }
  const foreign = NOT_OF_IMAGES.find((name) => flags.values.has(name));
  if (foreign !== undefined) {
    throw new DfError("usage", `preheat image: --${foreign} is for URLs`, {
      hint: foreign === "refresh" ? "a registry's notifications order what is pushed" : undefined,
    });
  }
  const platforms = flags.values.get("platform")?.join(",");
  if (!newImagePreheatSchema.shape.platforms.safeParse(platforms).success) {
    throw new DfError("usage", `read --platform ${platforms}: no platform`, {
      hint: "write linux/amd64, linux/arm64/v8,linux/amd64 or all",
    });
  }
  const authorization = readAuthorization(flags);
  return {
    ...{ image, ...wish },
    ...(platforms === undefined ? {} : { platforms }),
    ...(authorization === undefined ? {} : { authorization }),
  };
}

/** What is wrong is told without what was given. */
function readAuthorization(flags: ParsedFlags): string | undefined {
  const users = flags.values.get("user") ?? [];
  const lines = (flags.values.get("header") ?? []).flatMap((text) =>
    text.startsWith("@") ? linesOf(readSecret("--header", text).reveal()) : [text],
  );
  if (users.length + lines.length > 1) {
    throw new DfError("usage", "preheat image: its registry is shown one thing alone", {
      hint: "write --user NAME:PASSWORD, or --header 'Authorization: Bearer …'",
    });
  }
  const [user] = users;
  if (user !== undefined) return basicOf(checkedPair(readSecret("--user", user).reveal()));
  const [line] = lines;
  if (line === undefined) return undefined;
  const value = /^authorization:\s*(.*)$/i.exec(line)?.[1]?.trim();
  if (newImagePreheatSchema.shape.authorization.safeParse(value ?? "").success) return value;
  throw new DfError("usage", "read --header: a registry is shown Authorization alone", {
    hint: "write --header 'Authorization: Bearer …' or 'Authorization: Basic …', or @FILE with that line",
  });
}

function checkedPair(pair: string): string {
  if (pair.includes(":")) return pair;
  throw new DfError("usage", "read --user: no password", {
    hint: "write --user NAME:PASSWORD, or @FILE with that line",
  });
}

function linesOf(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line.trim() !== "");
}
