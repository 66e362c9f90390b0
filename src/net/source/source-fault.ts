// What can go wrong with a source, as the one error a user sees plus what a retry needs to know:
// statuses, transport errors and Retry-After are mapped here and nowhere else.

import { DfError, type ErrorCode, messageOf } from "../../errors.ts";
import { redactUrl } from "../task-request.ts";

/** A failed exchange. It never leaves this folder: `error` does, when no retry is left. */
export class SourceFault extends Error {
  override readonly name = "SourceFault";
  readonly error: DfError;
  /** Whether the same request may succeed a little later. */
  readonly isTransient: boolean;
  /** Null: the source did not say when to come back. */
  readonly retryAfterMs: number | null;

  constructor(error: DfError, options: { isTransient: boolean; retryAfterMs?: number | null }) {
    super(error.message, { cause: error });
    this.error = error;
    this.isTransient = options.isTransient;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}

/** A fault that trying again cannot mend. */
export function finalFault(code: ErrorCode, message: string, hint?: string): SourceFault {
  return new SourceFault(new DfError(code, message, { hint }), { isTransient: false });
}

/** A fault of the moment: the exchange may be repeated. */
export function transientFault(code: ErrorCode, message: string): SourceFault {
  return new SourceFault(new DfError(code, message), { isTransient: true });
}

/** The source holds another version than the one under way. */
export function sourceChanged(url: string): DfError {
  return new DfError("source-changed", `read ${redactUrl(url)}: the source changed`, {
    hint: "run the command again to get the new version",
  });
}

/** The fault of a status that is no content. `retryAfter` is the header's value. */
export function faultOfStatus(
  status: number,
  url: string,
  retryAfter: string | undefined,
): SourceFault {
  const what = `read ${redactUrl(url)}: the source answered ${status}`;
  if (status === 401 || status === 407) {
    return finalFault("source-unauthorized", what, "give credentials with --header");
  }
  if (status === 403) {
    return finalFault(
      "source-forbidden",
      what,
      "the credentials do not allow this URL, or a signed URL has expired",
    );
  }
  if (status === 404 || status === 410)
    return finalFault("source-not-found", what, "check the URL");
  if (status === 429 || status === 503) {
    return new SourceFault(new DfError("source-busy", what, { hint: "try again later" }), {
      isTransient: true,
      retryAfterMs: parseRetryAfter(retryAfter, Date.now()),
    });
  }
  const isTransient = status === 408 || status === 500 || status === 502 || status === 504;
  if (status >= 400) return new SourceFault(new DfError("source-error", what), { isTransient });
  return finalFault("protocol", what);
}

/**
 * Milliseconds to wait, from seconds or an HTTP date (RFC 9110 §10.2.3); null when the header
 * is missing or means nothing.
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | null {
  if (value === undefined) return null;
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1000;
  // Date.parse takes "-5" for a year: HTTP dates end in GMT.
  const waitMs = value.endsWith("GMT") ? Date.parse(value) - nowMs : NaN;
  return Number.isNaN(waitMs) ? null : Math.max(0, waitMs);
}

const TLS_CODE =
  /^(ERR_TLS|ERR_SSL|EPROTO$|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA)/;

/** The fault of an error that the HTTP client threw. */
export function faultOfTransport(cause: unknown, url: string): SourceFault {
  if (cause instanceof SourceFault) return cause;
  if (cause instanceof DfError) return new SourceFault(cause, { isTransient: false });
  const code = cause instanceof Error && "code" in cause ? (cause.code as string) : "";
  const what = `read ${redactUrl(url)}: ${messageOf(cause)}`;
  if (TLS_CODE.test(code)) {
    const hint = "the certificate must be valid for this host; add a private CA with SSL_CERT_FILE";
    return new SourceFault(new DfError("tls", what, { cause, hint }), { isTransient: false });
  }
  if (code.startsWith("HPE_")) {
    const hint = "the server does not speak HTTP/1.1 as it should";
    return new SourceFault(new DfError("protocol", what, { cause, hint }), { isTransient: false });
  }
  const isUnknownName = code === "ENOTFOUND";
  const hint = isUnknownName
    ? "check the host name"
    : "check that the source is reachable from here";
  return new SourceFault(new DfError("network", what, { cause, hint }), {
    isTransient: !isUnknownName,
  });
}
