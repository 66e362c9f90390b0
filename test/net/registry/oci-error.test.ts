// What an engine is told of a failure.

import { expect, test } from "bun:test";
import { DfError, type ErrorCode } from "../../../src/errors.ts";
import {
  formatOciError,
  ociErrorOf,
  type OciSubject,
} from "../../../src/net/registry/oci-error.ts";

test.each([
  ["source-not-found", "blob", 404, "BLOB_UNKNOWN"],
  ["source-not-found", "manifest", 404, "MANIFEST_UNKNOWN"],
  ["source-not-found", "other", 404, "NAME_UNKNOWN"],
  ["source-unauthorized", "blob", 401, "UNAUTHORIZED"],
  ["source-forbidden", "blob", 403, "DENIED"],
  ["denied", "manifest", 403, "DENIED"],
  ["checksum", "manifest", 502, "MANIFEST_INVALID"],
  ["checksum", "blob", 502, "UNAVAILABLE"],
  ["network", "blob", 502, "UNAVAILABLE"],
  ["tls", "blob", 502, "UNAVAILABLE"],
  ["timeout", "manifest", 504, "UNAVAILABLE"],
  ["source-busy", "blob", 503, "UNAVAILABLE"],
  ["too-many", "blob", 429, "TOOMANYREQUESTS"],
  ["internal", "blob", 500, "UNAVAILABLE"],
] as [ErrorCode, OciSubject, number, string][])(
  "%s on a %s is %d %s",
  (code, subject, status, told) => {
    const error = ociErrorOf(new DfError(code, "read it: no"), subject);

    expect(error).toMatchObject({ status, code: told });
    expect(JSON.parse(formatOciError(error))).toEqual({
      errors: [{ code: told, message: "read it: no", detail: null }],
    });
  },
);

test("a registry's 429 says when to come back", () => {
  const refusal = { status: 429, holdsForSeconds: 6.2 };

  expect(ociErrorOf(new DfError("source-busy", "read it", { refusal }), "blob")).toMatchObject({
    status: 429,
    code: "TOOMANYREQUESTS",
    retryAfterSeconds: 7,
  });
});
