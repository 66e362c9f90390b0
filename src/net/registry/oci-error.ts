// Errors as engines read them from a registry: {"errors":[{code, message, detail}]}.
// @see OCI distribution specification, "Error Codes"

import type { DfError } from "../../errors.ts";

/** Those of the specification that a pull can meet, and UNAVAILABLE, which registries add for 5xx. */
export type OciErrorCode =
  | "BLOB_UNKNOWN"
  | "MANIFEST_UNKNOWN"
  | "NAME_UNKNOWN"
  | "NAME_INVALID"
  | "DIGEST_INVALID"
  | "MANIFEST_INVALID"
  | "UNAUTHORIZED"
  | "DENIED"
  | "UNSUPPORTED"
  | "TOOMANYREQUESTS"
  | "UNAVAILABLE";

export interface OciError {
  readonly status: number;
  readonly code: OciErrorCode;
  readonly message: string;
  /** Seconds; undefined: the registry did not say. */
  readonly retryAfterSeconds?: number | undefined;
  /** Of a 401: what to show. */
  readonly challenge?: string;
}

/** What a request was for, as far as the answer to a failure differs. */
export type OciSubject = "blob" | "manifest" | "other";

export function formatOciError({ code, message }: OciError): string {
  return JSON.stringify({ errors: [{ code, message, detail: null }] });
}

/** What to tell an engine of a failure: with any of these it may try the registry itself. */
export function ociErrorOf(error: DfError, subject: OciSubject): OciError {
  const { refusal, message } = error;
  const retryAfterSeconds =
    refusal === undefined ? undefined : Math.max(1, Math.ceil(refusal.holdsForSeconds));
  switch (error.code) {
    case "source-not-found":
    case "not-found":
      return { status: 404, code: unknownCode(subject), message };
    case "source-unauthorized":
    case "unauthorized":
      return { status: 401, code: "UNAUTHORIZED", message };
    case "source-forbidden":
    case "denied":
      return { status: 403, code: "DENIED", message };
    case "source-busy":
    case "too-many": {
      const isTooMany = error.code === "too-many" || refusal?.status === 429;
      const code = isTooMany ? "TOOMANYREQUESTS" : "UNAVAILABLE";
      return { status: isTooMany ? 429 : 503, code, message, retryAfterSeconds };
    }
    case "checksum":
    case "forged":
      // The engine's own word for it would blame the request.
      return {
        status: 502,
        code: subject === "manifest" ? "MANIFEST_INVALID" : "UNAVAILABLE",
        message,
      };
    case "usage":
      return { status: 400, code: "UNSUPPORTED", message };
    default:
      return { status: error.status, code: "UNAVAILABLE", message };
  }
}

function unknownCode(subject: OciSubject): OciErrorCode {
  switch (subject) {
    case "blob":
      return "BLOB_UNKNOWN";
    case "manifest":
      return "MANIFEST_UNKNOWN";
    case "other":
      return "NAME_UNKNOWN";
  }
}
