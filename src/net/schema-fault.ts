// What a schema refused, in one line for an error's message.

import type { z } from "zod";

/** Each fault after the place where it is, e.g. "urls[0]: no http or https URL; scope: too long". */
export function wordsOfFaults(error: z.core.$ZodError): string {
  return error.issues
    .map(({ path, message }) => (path.length === 0 ? message : `${placeOf(path)}: ${message}`))
    .join("; ");
}

function placeOf(path: readonly PropertyKey[]): string {
  return path
    .map((step, index) => {
      if (typeof step === "number") return `[${step}]`;
      return index === 0 ? String(step) : `.${String(step)}`;
    })
    .join("");
}
