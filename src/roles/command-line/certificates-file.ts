// Files of certificates that flags name. What is none is said at once: a TLS library would say it at the
// first connection, of every server, and as if the network were at fault.

import { X509Certificate } from "node:crypto";
import { DfError } from "../../errors.ts";

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * Gives `pem` back when it holds certificates, each of them readable.
 * @throws {DfError} file-unreadable
 */
export function checkCertificates(flag: string, path: string, pem: string): string {
  const blocks = pem.match(BLOCK) ?? [];
  try {
    const certificates = blocks.map((block) => new X509Certificate(block));
    if (certificates.length > 0) return pem;
  } catch (cause) {
    throw notCertificates(flag, path, cause);
  }
  throw notCertificates(flag, path);
}

function notCertificates(flag: string, path: string, cause?: unknown): DfError {
  return new DfError("file-unreadable", `read ${path} for ${flag}: no certificates`, {
    cause,
    hint: "name a PEM file: blocks that begin with -----BEGIN CERTIFICATE-----",
  });
}
