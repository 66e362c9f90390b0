// What a schema refused, in one line for an error's message.

import type { z } from "zod";
import { DfError } from "../errors.ts";

/** A request, or a part of one, as its schema reads it. @throws {DfError} usage */
export function readRequest<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): z.output<Schema> {
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  throw new DfError("usage", `read the request: ${wordsOfFaults(read.error)}`);
}

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
