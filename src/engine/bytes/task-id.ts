// Who is who: the task ID names a URL plus what makes its bytes differ, the content ID one version
// of a task's bytes. Both are computed by us from public facts; no credential ever enters.

/** What makes the bytes of two requests differ. */
export interface TaskFields {
  readonly url: string;
  /** Query parameters that do not make the bytes differ, by decoded name. */
  readonly filterQuery?: readonly string[];
  /** "a-b" when only a part of the URL's bytes is the task; "" or absent: all. */
  readonly range?: string;
  /** "algorithm:hex" the whole must have; "" or absent: none was given. */
  readonly checksum?: string;
  readonly tag?: string;
  /** Headers whose value makes the bytes differ and is no secret. */
  readonly publicHeaders?: Readonly<Record<string, string>>;
  readonly visibility: "public" | "private";
  /** Pieces travel and rest sealed: kept apart from the same bytes that do not. */
  readonly isSealed?: boolean;
  /** Of a private task: a keyed digest of what may make its bytes differ and must not be told. */
  readonly variant?: string;
  /** "sha256:hex" that names the bytes: of the URL only the origin counts then, and nothing else that is here. */
  readonly digest?: string;
  /** The URL is a registry's, of a tag: what is asked of it is not what a plain request would get. */
  readonly isTag?: boolean;
}

/**
 * How the ID of a task that is named by a digest begins: then come 24 digits of that digest alone and
 * 32 of all that tells the task from others. Any other task's ID begins so once in 2^32.
 */
const OF_DIGEST = "00000000";
const DIGEST_PART_END = 32;

/**
 * The task ID, 64 hex digits.
 * @throws {TypeError} when `url` is no URL
 */
export function taskIdOf(fields: TaskFields): string {
  const url = new URL(fields.url);
  if (fields.digest !== undefined) return idOfDigest(url, fields.digest, fields);
  const headers = Object.entries(fields.publicHeaders ?? {})
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .toSorted(([a], [b]) => compareText(a, b));
  return digestOfFields([
    "df task 1",
    url.protocol,
    url.host,
    url.pathname,
    sortedQuery(url.search, fields.filterQuery ?? []),
    fields.range ?? "",
    fields.checksum ?? "",
    fields.tag ?? "",
    fields.visibility,
    ...headers.flat(),
    // No header field has such a name: these pairs are never taken for one.
    ...(fields.isSealed === true ? ["sealed\n", "1"] : []),
    ...(fields.variant === undefined ? [] : ["variant\n", fields.variant]),
    ...(fields.isTag === true ? ["tag of a registry\n", "1"] : []),
  ]);
}

function idOfDigest(
  { protocol, host }: URL,
  digest: string,
  { visibility, isSealed = false }: TaskFields,
): string {
  const kind = isSealed ? "sealed" : visibility;
  const own = digestOfFields(["df digest task 1", protocol, host, digest, kind]);
  const shared = digestOfFields(["df digest 1", digest]);
  return OF_DIGEST + shared.slice(0, DIGEST_PART_END - OF_DIGEST.length) + own.slice(0, 32);
}

/** Whether a task is named by a digest, whatever its URL; of other tasks that is said once in 2^32. */
export function isOfDigest(taskId: string): boolean {
  return taskId.startsWith(OF_DIGEST);
}

/**
 * What of a task's ID decides who owns it: tasks that are named by one digest, at whatever origins,
 * have one owner, where the content of one can be given to those who ask for the others.
 */
export function ownershipOf(taskId: string): string {
  return isOfDigest(taskId) ? taskId.slice(0, DIGEST_PART_END) : taskId;
}

/**
 * The content ID, 64 hex digits.
 * @param validator strong ETag or Last-Modified; a source that gives none needs a fresh random
 *   nonce, so that two of its versions never share an ID
 * @param length null: not known when the read began
 */
export function contentIdOf(taskId: string, validator: string, length: number | null): string {
  return digestOfFields(["df content 1", taskId, validator, length === null ? "" : String(length)]);
}

/**
 * The query without filtered parameters, ordered by name. Parameters of one name keep their order
 * and all keep their spelling: a server may tell them apart.
 */
function sortedQuery(search: string, filtered: readonly string[]): string {
  return search
    .slice(1)
    .split("&")
    .filter((parameter) => parameter !== "" && !filtered.includes(nameOf(parameter)))
    .toSorted((a, b) => compareText(rawNameOf(a), rawNameOf(b)))
    .join("&");
}

function rawNameOf(parameter: string): string {
  const equals = parameter.indexOf("=");
  return equals < 0 ? parameter : parameter.slice(0, equals);
}

/** The decoded name of one parameter as it stands in a query. */
export function nameOf(parameter: string): string {
  return new URLSearchParams(rawNameOf(parameter).concat("=")).keys().next().value ?? "";
}

/** Order by UTF-16 code units: the same on every host, whatever its locale. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * HMAC-SHA-256 over fields, 64 hex digits: names what must not be told, and only who has the key can
 * find out by trying whether a guess is right.
 */
export function keyedDigestOf(key: Uint8Array, fields: readonly string[]): string {
  return digestOfFields(fields, key);
}

/** SHA-256 over fields, each with its length (u32, big-endian) in front: no two lists meet. */
function digestOfFields(fields: readonly string[], key?: Uint8Array): string {
  const hasher = new Bun.CryptoHasher("sha256", key);
  const encoder = new TextEncoder();
  for (const field of fields) {
    const bytes = encoder.encode(field);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, bytes.length);
    hasher.update(length).update(bytes);
  }
  return hasher.digest("hex");
}
