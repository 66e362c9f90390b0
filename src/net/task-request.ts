// Says what a request is: which task it names, and whether it is public or carries something that
// only its sender may hold. Private requests never reach the swarm.

import type { TaskFields } from "../engine/bytes/task-id.ts";

/** A download as the user or a peer asks for it. */
export interface RequestFields {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly tag?: string | undefined;
  readonly filterQuery?: readonly string[] | undefined;
  readonly checksum?: string | undefined;
}

/** Headers that neither name the sender nor change the bytes; values that do make them not neutral. */
const NEUTRAL_HEADERS: Record<string, RegExp> = {
  accept: /^\s*\*\/\*\s*$/,
  "accept-encoding": /^\s*identity\s*$/i,
  "user-agent": /^/,
  referer: /^[^@?]*$/,
  traceparent: /^/,
  tracestate: /^/,
  "x-request-id": /^/,
};

/** Headers that are credentials whatever the user says of them. */
const CREDENTIAL_HEADERS = ["authorization", "proxy-authorization", "cookie", "cookie2"];

/** Query parameters by which object stores, CDNs and code hosts sign or authorise a URL. */
const CREDENTIAL_PARAMETERS = new Set([
  ...["signature", "sig", "sign", "policy", "key-pair-id", "hmac", "hdnts", "hdnea", "__token__"],
  ...["awsaccesskeyid", "ossaccesskeyid", "accesskeyid", "googleaccessid", "security-token"],
  ...["token", "access_token", "auth", "auth_token", "private_token", "job_token", "id_token"],
  ...["api_key", "apikey", "api-key", "jwt", "password", "passwd", "secret", "client_secret"],
  ...["q-signature", "q-ak", "q-sign-algorithm", "sas", "skoid", "sktid", "authorization"],
]);
const CREDENTIAL_PREFIXES = ["x-amz-", "x-goog-", "x-oss-", "x-cos-", "x-obs-", "x-ms-"];

export type Visibility =
  | { readonly kind: "public" }
  /** `because` names what made it private, never its value. */
  | { readonly kind: "private"; readonly because: string };

/**
 * Whether others may be given the answer to this request.
 * @param publicHeaders header names whose values the user declared to be no secret
 * @throws {TypeError} when `url` is no URL
 */
export function visibilityOf(
  request: Pick<RequestFields, "url" | "headers">,
  publicHeaders: readonly string[] = [],
): Visibility {
  const url = new URL(request.url);
  if (url.username !== "" || url.password !== "") {
    return { kind: "private", because: "user and password in the URL" };
  }
  for (const name of url.searchParams.keys()) {
    if (isCredentialParameter(name)) {
      return { kind: "private", because: `query parameter ${name}` };
    }
  }
  const declared = publicHeaders.map((name) => name.toLowerCase());
  for (const [name, value] of Object.entries(request.headers ?? {})) {
    if (isNeutralHeader(name, value)) continue;
    const isDeclared = declared.includes(name.toLowerCase());
    if (!isDeclared || CREDENTIAL_HEADERS.includes(name.toLowerCase())) {
      return { kind: "private", because: `header ${name}` };
    }
  }
  return { kind: "public" };
}

/**
 * The fields of a request that make its bytes differ. In a request that travels to a peer or a
 * supernode every header that is not neutral was declared public by the user.
 */
export function taskFieldsOf(request: RequestFields, visibility: "public" | "private"): TaskFields {
  const publicHeaders = Object.entries(request.headers ?? {}).filter(
    ([name, value]) => !isNeutralHeader(name, value),
  );
  return {
    url: request.url,
    visibility,
    ...(request.tag === undefined ? {} : { tag: request.tag }),
    ...(request.filterQuery === undefined ? {} : { filterQuery: request.filterQuery }),
    ...(request.checksum === undefined ? {} : { checksum: request.checksum }),
    // A private task's headers are credentials: they never enter an ID.
    ...(visibility === "public" ? { publicHeaders: Object.fromEntries(publicHeaders) } : {}),
  };
}

/** The URL as it may be shown and stored: without user info and query values. */
export function redactUrl(text: string): string {
  if (!URL.canParse(text)) return text.replace(/\?.*$/s, "?…");
  const url = new URL(text);
  return `${url.protocol}//${url.host}${url.pathname}${url.search === "" ? "" : "?…"}`;
}

function isNeutralHeader(name: string, value: string): boolean {
  return (
    Object.hasOwn(NEUTRAL_HEADERS, name.toLowerCase()) &&
    NEUTRAL_HEADERS[name.toLowerCase()]!.test(value)
  );
}

function isCredentialParameter(name: string): boolean {
  const lower = name.toLowerCase();
  return (
    CREDENTIAL_PARAMETERS.has(lower) ||
    CREDENTIAL_PREFIXES.some((prefix) => lower.startsWith(prefix))
  );
}
