// What can go wrong with a source, as the one error a user sees plus what a retry needs to know:
// statuses, transport errors and Retry-After are mapped here and nowhere else.

import { refusalLifetimeSeconds } from "../../engine/core/freshness.ts";
import { DfError, type ErrorCode, isDfError, messageOf } from "../../errors.ts";
import { redactUrl } from "../task-request.ts";
import { type AnswerMoment, keptAnswerOf, termsOf } from "./cache-terms.ts";
import { parseRetryAfter } from "./http-date.ts";

/** An answer that is no content. */
export interface RefusingAnswer extends AnswerMoment {
  readonly status: number;
  readonly finalUrl: string;
}

/** A failed exchange. It never leaves `net`: `error` does, when no retry is left. */
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

/** What a user sees of whatever was thrown. */
export function withoutFault(thrown: unknown): unknown {
  return thrown instanceof SourceFault ? thrown.error : thrown;
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

/** The source answers with other bytes than those of the digest that it was asked for. */
export function otherDigest(url: string): SourceFault {
  return finalFault(
    "checksum",
    `read ${redactUrl(url)}: it has not the digest that it was asked for by`,
    "the registry, or what stands before it, gives other bytes",
  );
}

/** The source has more bytes than what was asked for may have. */
export function tooLong(url: string, lengthMax: number): SourceFault {
  return finalFault("protocol", `read ${redactUrl(url)}: it has more than ${lengthMax} bytes`);
}

/** The fault of an answer that is no content. */
export function faultOfStatus(answer: RefusingAnswer): SourceFault {
  const { status, headers } = answer;
  const terms = termsOf(keptAnswerOf(answer));
  const { code, hint, isTransient } = traitsOf(status);
  const message = `read ${redactUrl(answer.finalUrl)}: the source answered ${status}`;
  const refusal = { status, holdsForSeconds: refusalLifetimeSeconds(status, terms) };
  const retryAfterMs = parseRetryAfter(headers["retry-after"], answer.receivedAt);
  return new SourceFault(new DfError(code, message, { hint, refusal }), {
    isTransient,
    retryAfterMs: isTransient ? retryAfterMs : null,
  });
}

function traitsOf(status: number): { code: ErrorCode; hint?: string; isTransient: boolean } {
  switch (status) {
    case 401:
    case 407:
      return {
        code: "source-unauthorized",
        hint: "give credentials with --header",
        isTransient: false,
      };
    case 403:
      return {
        code: "source-forbidden",
        hint: "the credentials do not allow this URL, or a signed URL has expired",
        isTransient: false,
      };
    case 404:
    case 410:
      return { code: "source-not-found", hint: "check the URL", isTransient: false };
    case 429:
    case 503:
      return { code: "source-busy", hint: "try again later", isTransient: true };
    case 408:
    case 500:
    case 502:
    case 504:
      return { code: "source-error", isTransient: true };
    default:
      return { code: status >= 400 ? "source-error" : "protocol", isTransient: false };
  }
}

/**
 * Whether an error says that the source is in trouble, not what it holds: then a copy that was right
 * a while ago is better than none (RFC 9111 §4.2.4).
 */
export function isSourceDown(error: unknown): error is DfError {
  if (!isDfError(error)) return false;
  const { code, refusal } = error;
  if (code === "network" || code === "timeout" || code === "source-busy") return true;
  return code === "source-error" && refusal !== undefined && refusal.status >= 500;
}

const TLS_CODE =
  /^(ERR_TLS|ERR_SSL|EPROTO$|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_)/;

/** The fault of an error that the HTTP client threw. */
export function faultOfTransport(cause: unknown, url: string): SourceFault {
  if (cause instanceof SourceFault) return cause;
  if (cause instanceof DfError) return new SourceFault(cause, { isTransient: false });
  const code = cause instanceof Error && "code" in cause ? (cause.code as string) : "";
  const what = `read ${redactUrl(url)}: ${messageOf(cause)}`;
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER") {
    // The library's words for the plain answer that it got.
    const plain = `read ${redactUrl(url)}: what answers there does not speak TLS`;
    const hint =
      "write http:// if it speaks that; of a registry: --registry-upstream HOST=http://HOST";
    return new SourceFault(new DfError("tls", plain, { cause, hint }), { isTransient: false });
  }
  if (TLS_CODE.test(code)) {
    const hint =
      "its certificate must be valid for this host; name a private CA with --cacert, of a service with --source-ca";
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
