// What went wrong between two ends that should speak TLS, in words of the fleet: the runtime's codes
// say which check failed, not what to do about it.

import { DfError, messageOf } from "../../errors.ts";

const CERTIFICATE_CODE =
  /^(ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA)/;

/** Whether the other end showed a certificate that is not believed. */
export function isCertificateFault(cause: unknown): boolean {
  return CERTIFICATE_CODE.test(codeOf(cause));
}

/**
 * The error of a request that failed for TLS; undefined: for another reason.
 * @param tried what was tried, for the message
 * @param hint what to do about a certificate that is not believed
 */
export function tlsFaultOf(cause: unknown, tried: string, hint: string): DfError | undefined {
  if (isCertificateFault(cause)) {
    const message = `${tried}: its certificate is not believed (${codeOf(cause)})`;
    return new DfError("tls", message, { cause, hint });
  }
  if (codeOf(cause) === "EPROTO" || codeOf(cause).startsWith("ERR_SSL")) {
    return new DfError("tls", `${tried}: it does not speak TLS 1.3 there`, {
      cause,
      hint: "who is known to speak TLS is never asked in plain text: check the address, and whether something stands in between",
    });
  }
  return undefined;
}

/** What to say more where a plain connection broke: perhaps the other end waits for TLS. */
export function plainHintOf(cause: unknown, hint: string): string {
  const isBroken = codeOf(cause) === "ECONNRESET" || /closed unexpectedly/.test(messageOf(cause));
  return isBroken ? "if it speaks TLS, write https:// in front of its address" : hint;
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "";
}
