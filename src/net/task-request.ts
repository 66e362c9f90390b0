// Says what a request is: which task it names, and whether it is public or carries something that
// only its sender may hold. What only its sender may hold is taken apart here and nowhere else: the
// public part names the task, the credentials go to the source.

import { nameOf, type TaskFields } from "../engine/bytes/task-id.ts";
import { MANIFEST_ACCEPT, MANIFEST_BYTES_MAX } from "./registry/media-type.ts";
import { isTag, namedDigestOf } from "./registry/registry-task.ts";
import type { Credentials, RegistryKind, TaskRequest } from "./wire/task.ts";

/** A download as the user or a peer asks for it. */
export interface RequestFields {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly tag?: string | undefined;
  readonly filterQuery?: readonly string[] | undefined;
  readonly checksum?: string | undefined;
  readonly isSealed?: boolean | undefined;
  readonly registryKind?: RegistryKind | undefined;
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

/**
 * Headers that are credentials whatever the user says of them: they say who asks. Any other header
 * that is not neutral may as well choose the bytes.
 */
const CREDENTIAL_HEADERS = new Set([
  ...["authorization", "proxy-authorization", "cookie", "cookie2"],
  ...["x-api-key", "api-key", "apikey", "x-auth-token", "x-auth-key", "x-auth-email"],
  ...["x-access-token", "x-csrf-token", "x-session-token", "x-vault-token"],
  ...["private-token", "job-token", "deploy-token", "x-gitlab-token", "x-github-token"],
  ...["x-jfrog-art-api", "x-nuget-apikey", "x-amz-security-token", "x-goog-api-key"],
]);

/** Query parameters by which object stores, CDNs and code hosts sign or authorise a URL. */
const CREDENTIAL_PARAMETERS = new Set([
  ...["signature", "sig", "sign", "policy", "key-pair-id", "hmac", "hdnts", "hdnea", "__token__"],
  ...["awsaccesskeyid", "ossaccesskeyid", "accesskeyid", "googleaccessid", "security-token"],
  ...["token", "access_token", "auth", "auth_token", "private_token", "job_token", "id_token"],
  ...["api_key", "apikey", "api-key", "jwt", "password", "passwd", "secret", "client_secret"],
  ...["q-signature", "q-ak", "q-sign-algorithm", "sas", "skoid", "sktid", "authorization"],
]);
const CREDENTIAL_PREFIXES = ["x-amz-", "x-goog-", "x-oss-", "x-cos-", "x-obs-", "x-ms-"];

/** Named like signatures, and yet they choose the bytes. */
const NO_CREDENTIAL_PARAMETERS = new Set(["x-oss-process", "x-cos-process"]);

/** Names that a pager may use as well as a signer: requests that differ in them are two tasks. */
const AMBIGUOUS_PARAMETERS = new Set(["token", "auth", "sign", "secret", "policy"]);

/** What a signature covers beside itself (until when, what for), by the parameters that show it is one. */
const SIGNED_PARAMETERS: readonly { with: readonly string[]; also: ReadonlySet<string> }[] = [
  { with: ["signature"], also: new Set(["expires", "policy"]) },
  {
    with: ["sig", "sv"],
    also: new Set([
      ...["sv", "se", "st", "sp", "sr", "ss", "srt", "spr", "sip", "sks", "skt", "ske", "skv"],
    ]),
  },
  {
    with: ["q-signature"],
    also: new Set(["q-sign-time", "q-key-time", "q-header-list", "q-url-param-list"]),
  },
];

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
    if (!isDeclared || isCredentialHeader(name)) {
      return { kind: "private", because: `header ${name}` };
    }
  }
  return { kind: "public" };
}

/** A request taken apart: what may name the task, and what only its sender may hold. */
export interface SplitRequest {
  readonly url: string;
  /** Neutral ones, and those that the user declared to be no secret. */
  readonly headers: Record<string, string>;
  /** Of a private request. */
  readonly credentials?: Credentials;
}

/**
 * Takes a request apart; without credentials it is public.
 * @param publicHeaders as `visibilityOf`
 * @throws {TypeError} when `url` is no URL
 */
export function splitRequest(
  request: Pick<RequestFields, "url" | "headers">,
  publicHeaders: readonly string[] = [],
): SplitRequest {
  const { url, headers = {} } = request;
  if (visibilityOf(request, publicHeaders).kind === "public") return { url, headers };
  const isPrivate = ([name, value]: [string, string]): boolean =>
    visibilityOf({ url: PLAIN_URL, headers: { [name]: value } }, publicHeaders).kind === "private";
  const all = Object.entries(headers);
  return {
    url: publicUrlOf(url),
    headers: Object.fromEntries(all.filter((header) => !isPrivate(header))),
    credentials: { url, headers: Object.fromEntries(all.filter(isPrivate)) },
  };
}

/** Any URL without a secret. */
const PLAIN_URL = "http://source/";

/** What a source is asked with. */
export interface WholeRequest {
  url: string;
  headers: Record<string, string>;
  /** The source is a registry: where it wants a token of everybody, one is got. */
  isRegistry?: boolean;
  /** "sha256:hex" that names the version, whatever validators the source tells. */
  digest?: string;
  /** More bytes than it may have are a fault. */
  lengthMax?: number;
}

/**
 * What a source is asked with: of a private task the sender's URL and all header fields.
 * @throws {TypeError} when the parts do not belong together: then who made them lies about the task
 */
export function wholeRequestOf(
  task: Pick<TaskRequest, "url" | "headers" | "credentials"> &
    Partial<Pick<TaskRequest, "registryKind" | "checksum">>,
): WholeRequest {
  const { registryKind, checksum = "" } = task;
  const { url, headers } = withCredentials(task);
  if (registryKind === undefined) return { url, headers };
  const digest = namedDigestOf({ registryKind, checksum });
  const ofKind =
    registryKind === "blob"
      ? { headers }
      : { headers: acceptingManifests(headers), lengthMax: MANIFEST_BYTES_MAX };
  return {
    ...{ url, ...ofKind, isRegistry: true },
    ...(digest === null ? {} : { digest }),
  };
}

/** A registry may hide a manifest whose type the request does not name. */
function acceptingManifests(headers: Record<string, string>): Record<string, string> {
  const accept = Object.keys(headers).find((name) => name.toLowerCase() === "accept") ?? "accept";
  const named = headers[accept];
  return named === undefined || NEUTRAL_HEADERS["accept"]!.test(named)
    ? { ...headers, [accept]: MANIFEST_ACCEPT }
    : headers;
}

function withCredentials(
  task: Pick<TaskRequest, "url" | "headers" | "credentials">,
): Pick<WholeRequest, "url" | "headers"> {
  const { url, headers, credentials } = task;
  if (credentials === undefined) return { url, headers };
  // A right proven at one URL must never open another one.
  if (publicUrlOf(credentials.url) !== publicUrlOf(url) || publicUrlOf(url) !== url) {
    throw new TypeError("the credentials are of another URL");
  }
  const whole = { ...headers, ...credentials.headers };
  const names = Object.keys(whole).map((name) => name.toLowerCase());
  const count = Object.keys(headers).length + Object.keys(credentials.headers).length;
  if (new Set(names).size !== count) throw new TypeError("a header field is there twice");
  return { url: credentials.url, headers: whole };
}

/**
 * What of the credentials may as well choose the bytes, as names and values in one order: requests in
 * which they differ are never taken for one. They are secrets like the others.
 */
export function unknownPartsOf({ url, headers }: Credentials): string[] {
  const fields = Object.entries(headers)
    .map(([name, value]): [string, string] => [name.toLowerCase(), value])
    .filter(([name]) => !isCredentialHeader(name))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return [...fields.flat(), ...queryParts(new URL(url), "unknown")];
}

/** The URL without user info and without what signs or authorises it. @throws {TypeError} */
function publicUrlOf(text: string): string {
  const url = new URL(text);
  url.username = "";
  url.password = "";
  url.hash = "";
  // By hand: what stays keeps its spelling, which a server may look at.
  const kept = queryParts(url, "public");
  // With its question mark: without one, the first name's own would be taken for it.
  if (kept.length < url.search.slice(1).split("&").length)
    url.search = kept.length === 0 ? "" : `?${kept.join("&")}`;
  return url.href;
}

type ParameterKind = "public" | "credential" | "unknown";

function queryParts({ search }: URL, kind: ParameterKind): string[] {
  const parts = search.slice(1).split("&");
  const names = new Set(parts.map((part) => nameOf(part).toLowerCase()));
  return parts.filter((part) => part !== "" && kindOf(nameOf(part).toLowerCase(), names) === kind);
}

/** @param all names of the query's parameters, in lower case as `name` */
function kindOf(name: string, all: ReadonlySet<string>): ParameterKind {
  const isSigned = SIGNED_PARAMETERS.some(
    ({ with: signs, also }) => also.has(name) && signs.every((sign) => all.has(sign)),
  );
  if (isSigned) return "credential";
  if (AMBIGUOUS_PARAMETERS.has(name)) return "unknown";
  return isCredentialParameter(name) ? "credential" : "public";
}

/**
 * The fields of a request that make its bytes differ. In a request that travels to a peer or a
 * supernode every header that is not neutral was declared public by the user.
 */
export function taskFieldsOf(request: RequestFields, visibility: "public" | "private"): TaskFields {
  // No credential ever enters an ID, also where a request was not taken apart.
  const publicHeaders = Object.entries(request.headers ?? {}).filter(
    ([name, value]) => !isNeutralHeader(name, value) && !isCredentialHeader(name),
  );
  return {
    url: request.url,
    visibility,
    ...(request.tag === undefined ? {} : { tag: request.tag }),
    ...(request.filterQuery === undefined ? {} : { filterQuery: request.filterQuery }),
    ...(request.checksum === undefined ? {} : { checksum: request.checksum }),
    ...(request.isSealed === true && visibility === "public" ? { isSealed: true } : {}),
    ...registryFieldsOf(request),
    publicHeaders: Object.fromEntries(publicHeaders),
  };
}

function registryFieldsOf(request: RequestFields): Pick<TaskFields, "digest" | "isTag"> {
  const { registryKind, checksum = "" } = request;
  const digest = namedDigestOf({ registryKind, checksum });
  if (digest !== null) return { digest };
  return isTag({ registryKind }) ? { isTag: true } : {};
}

/** The URL as it may be shown and stored: without user info and query values. */
export function redactUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  // Of what is no URL of a source anything before an "@" may be a password: "me:secret@host/file" too.
  if (url === null || !/^https?:$/.test(url.protocol))
    return text.replace(/[?#].*$/s, "?…").replace(/^([a-z][\w+.-]*:\/\/)?.*@/is, "$1…@");
  return `${url.protocol}//${url.host}${url.pathname}${url.search === "" ? "" : "?…"}`;
}

function isNeutralHeader(name: string, value: string): boolean {
  return (
    Object.hasOwn(NEUTRAL_HEADERS, name.toLowerCase()) &&
    NEUTRAL_HEADERS[name.toLowerCase()]!.test(value)
  );
}

function isCredentialHeader(name: string): boolean {
  return CREDENTIAL_HEADERS.has(name.toLowerCase());
}

function isCredentialParameter(name: string): boolean {
  const lower = name.toLowerCase();
  if (NO_CREDENTIAL_PARAMETERS.has(lower)) return false;
  return (
    CREDENTIAL_PARAMETERS.has(lower) ||
    CREDENTIAL_PREFIXES.some((prefix) => lower.startsWith(prefix))
  );
}
