// What a registry's refusal means to who named an image: the refusal itself speaks of a URL that he never wrote.

import { DfError, type ErrorCode, isDfError } from "../../errors.ts";

/** @param hasShown whether credentials were given */
export function imageFault(error: unknown, hasShown: boolean): unknown {
  if (!isDfError(error)) return error;
  const hint = hintFor(error.code, hasShown);
  if (hint === undefined) return error;
  const { code, message, cause, taskId, refusal } = error;
  return new DfError(code, message, { cause, hint, taskId, refusal });
}

function hintFor(code: ErrorCode, hasShown: boolean): string | undefined {
  switch (code) {
    case "source-not-found":
      return "check the image's name and tag; some registries say this of private images too";
    case "source-unauthorized":
      return hasShown
        ? "the registry does not know this user with this password, or this token"
        : "name who may have it: --user NAME:PASSWORD, or -H 'Authorization: Bearer …'; or there is no such image";
    case "source-forbidden":
      return "the registry does not let this user pull this image";
    default:
      return undefined;
  }
}
