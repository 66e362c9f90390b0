// Errors of the fleet's API as they travel: problem+json, made from a DfError and read back to one.
// @see RFC 9457

import { z } from "zod";
import { DfError, type ErrorCode, isDfError } from "../errors.ts";
import { limitedText } from "./limited-text.ts";

export const PROBLEM_TYPE = "application/problem+json";

export const problemSchema = z.object({
  /** "urn:df:problem:" and the code. */
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  /** The error's code in this program. */
  code: z.string(),
  /** What the caller can do about it. */
  hint: z.string().optional(),
});
export type Problem = z.infer<typeof problemSchema>;

const TITLES: Partial<Record<ErrorCode, string>> = {
  usage: "The request is not right",
  unauthorized: "Who asks is not known",
  denied: "Who asks may not do this",
  "not-found": "There is no such thing",
  conflict: "It is not so any more, or already so",
  outdated: "It was changed meanwhile",
  "not-shareable": "It is not for everyone",
  "too-many": "There were too many of that",
  "too-large": "The request is too large",
  "no-supernode": "No supernode is alive",
  unavailable: "Not now",
};

/** What is told of anything that was thrown: of what is no DfError only that it happened. */
export function problemOf(error: unknown): Problem {
  const known = isDfError(error)
    ? error
    : new DfError("internal", "answer the request: an internal error, see the log");
  const { code, message, hint, status } = known;
  return {
    type: `urn:df:problem:${code}`,
    title: TITLES[code] ?? "The request failed",
    ...{ status, detail: message, code },
    ...(hint === undefined ? {} : { hint }),
  };
}

/** The answer to a request that failed. */
export function problemResponse(error: unknown, headers: Record<string, string> = {}): Response {
  const problem = problemOf(error);
  return Response.json(problem, {
    status: problem.status,
    headers: {
      "content-type": PROBLEM_TYPE,
      ...(problem.status === 401 ? { "www-authenticate": "Bearer" } : {}),
      ...headers,
    },
  });
}

/** A problem is small; what is longer is not one. */
const PROBLEM_BYTES_MAX = 64 << 10;

/**
 * Rebuilds the error that an answer other than 2xx stands for. One that is no problem, e.g. a
 * proxy's page, is told by its status.
 * @param tried what was tried, for the message in that case
 */
export async function errorOfResponse(response: Response, tried: string): Promise<DfError> {
  const text = await limitedText(response, PROBLEM_BYTES_MAX).catch(() => "");
  try {
    if (text === null) throw new RangeError("too long for a problem");
    const { code, detail, hint } = problemSchema.parse(JSON.parse(text));
    return DfError.fromWire({ code, message: detail, hint });
  } catch (cause) {
    const isPassing = response.status === 429 || response.status >= 500;
    const message = `${tried}: answered with status ${response.status}`;
    return new DfError(isPassing ? "unavailable" : "protocol", message, { cause });
  }
}
