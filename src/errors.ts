// The one error class of the shell (roles, net, store) and the one table that gives each code its
// HTTP status, exit code and whether a retry may help. The engine core never throws a DfError.

interface ErrorTraits {
  /** HTTP status when the error is answered over HTTP. */
  status: number;
  /** Exit code of `df get`: wget's 0 to 8, then our own (README, "Exit codes"). */
  exit: number;
  /** Whether the same request may succeed later without the user changing anything. */
  retryable: boolean;
}

export const ERROR_TRAITS = {
  internal: { status: 500, exit: 1, retryable: false },
  usage: { status: 400, exit: 2, retryable: false },
  "file-unwritable": { status: 500, exit: 3, retryable: false },
  "file-unreadable": { status: 500, exit: 3, retryable: false },
  network: { status: 502, exit: 4, retryable: true },
  tls: { status: 502, exit: 5, retryable: false },
  "source-unauthorized": { status: 401, exit: 6, retryable: false },
  "source-forbidden": { status: 403, exit: 6, retryable: false },
  protocol: { status: 502, exit: 7, retryable: false },
  "source-not-found": { status: 404, exit: 8, retryable: false },
  "source-error": { status: 502, exit: 8, retryable: true },
  "source-busy": { status: 503, exit: 8, retryable: true },
  checksum: { status: 502, exit: 9, retryable: false },
  /** What was told under the fleet's name does not bear its signature. */
  forged: { status: 502, exit: 9, retryable: false },
  timeout: { status: 504, exit: 10, retryable: true },
  "output-busy": { status: 409, exit: 11, retryable: true },
  "no-space": { status: 507, exit: 12, retryable: false },
  "source-changed": { status: 409, exit: 13, retryable: true },
  denied: { status: 403, exit: 14, retryable: false },
  unauthorized: { status: 401, exit: 6, retryable: false },
  "not-found": { status: 404, exit: 1, retryable: false },
  conflict: { status: 409, exit: 1, retryable: false },
  /** A change was made for a version that is not the present one any more. */
  outdated: { status: 412, exit: 1, retryable: false },
  /** The request names another service (RFC 9110 §15.5.20). */
  misdirected: { status: 421, exit: 1, retryable: false },
  /** From this caller, of late. */
  "too-many": { status: 429, exit: 4, retryable: true },
  "too-large": { status: 413, exit: 1, retryable: false },
  "no-supernode": { status: 503, exit: 15, retryable: true },
  /** The peer cannot hand this task to the swarm (private without a fleet, loopback source…): read it directly. */
  "not-shareable": { status: 422, exit: 1, retryable: false },
  unavailable: { status: 503, exit: 4, retryable: true },
  interrupted: { status: 499, exit: 130, retryable: true },
} as const satisfies Record<string, ErrorTraits>;

export type ErrorCode = keyof typeof ERROR_TRAITS;

/** That a source refused, and for how long others who ask need not ask it again. */
export interface SourceRefusal {
  /** HTTP status. */
  status: number;
  holdsForSeconds: number;
}

export interface DfErrorOptions {
  cause?: unknown;
  /** What the user can do about it, one sentence without a full stop. */
  hint?: string | undefined;
  taskId?: string | undefined;
  refusal?: SourceRefusal | undefined;
}

/** The shape of an error on every wire: `{ "error": WireError }`. */
export interface WireError {
  code: ErrorCode;
  message: string;
  hint?: string | undefined;
  taskId?: string | undefined;
  refusal?: SourceRefusal | undefined;
}

/**
 * A failure a user or a caller can act on. The message begins with what was tried, lower case, no
 * full stop; `cause` is set whenever another error is wrapped.
 */
export class DfError extends Error {
  override readonly name = "DfError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly taskId: string | undefined;
  readonly refusal: SourceRefusal | undefined;

  constructor(code: ErrorCode, message: string, options: DfErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.taskId = options.taskId;
    this.refusal = options.refusal;
  }

  get exitCode(): number {
    return ERROR_TRAITS[this.code].exit;
  }

  get status(): number {
    return ERROR_TRAITS[this.code].status;
  }

  get isRetryable(): boolean {
    return ERROR_TRAITS[this.code].retryable;
  }

  toWire(): WireError {
    const { code, message, hint, taskId, refusal } = this;
    return { code, message, hint, taskId, ...(refusal === undefined ? {} : { refusal }) };
  }

  /** Rebuilds the error a remote side sent; an unknown code becomes `internal`. */
  static fromWire(wire: {
    code: string;
    message: string;
    hint?: string | undefined;
    taskId?: string | undefined;
    refusal?: SourceRefusal | undefined;
  }): DfError {
    const code = Object.hasOwn(ERROR_TRAITS, wire.code) ? (wire.code as ErrorCode) : "internal";
    const { hint, taskId, refusal } = wire;
    return new DfError(code, wire.message, { hint, taskId, refusal });
  }
}

/** Whether what failed with this code, also one of a later version, may succeed when it is tried again. */
export function isRetryableCode(code: string): boolean {
  return Object.hasOwn(ERROR_TRAITS, code) && ERROR_TRAITS[code as ErrorCode].retryable;
}

/** Narrows to a DfError, optionally of one code. */
export function isDfError(error: unknown, code?: ErrorCode): error is DfError {
  return error instanceof DfError && (code === undefined || error.code === code);
}

/** The text of an unknown thrown value, for messages and logs. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // What Bun adds to the system's words is for who wrote the call, not for who reads a log.
  return error.message.replace(BUN_ADVICE, "");
}

const BUN_ADVICE =
  /(?:[:.] )?(?:Is the computer able to access the url\?|Was there a typo in the url or port\?|For more information, pass `verbose: true` in the second argument to fetch\(\))/;
