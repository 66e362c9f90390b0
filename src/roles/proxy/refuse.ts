// Tells an engine that a request is not answered, as registries do.

import type { ServerResponse } from "node:http";
import { formatOciError, type OciError } from "../../net/registry/oci-error.ts";

/** @param fields beside those of the error */
export function refuse(
  response: ServerResponse,
  error: OciError,
  fields: Readonly<Record<string, string>>,
): void {
  const body = formatOciError(error);
  const { retryAfterSeconds, challenge } = error;
  response.writeHead(error.status, {
    ...fields,
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    ...(error.status === 405 ? { allow: "GET, HEAD" } : {}),
    ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) }),
    ...(challenge === undefined ? {} : { "www-authenticate": challenge }),
    // What is left of a request's body is not waited for.
    ...(response.req.complete ? {} : { connection: "close" }),
  });
  response.end(response.req.method === "HEAD" ? undefined : body);
}
