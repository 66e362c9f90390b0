// The server's side of the local API (wire/local-api.ts): HTTP on a unix socket for the commands of
// this host. Shapes, streams and backpressure are here; what a download is, the role knows.

import { z } from "zod";
import { DfError, isDfError, messageOf } from "../../errors.ts";
import { URL_BYTES_MAX } from "../../limits.ts";
import { wordsOfFaults } from "../schema-fault.ts";
import {
  ACCESS_HEADER,
  type DownloadRequest,
  type DownloadStreamEvent,
  type PeerStatus,
} from "../wire/local-api.ts";
import { ID_PATTERN } from "../wire/piece-api.ts";
import {
  checksumSchema,
  credentialsSchema,
  headersSchema,
  registryKindSchema,
  taskSchema,
  type TaskRequest,
} from "../wire/task.ts";
import type { FreshnessOnHost } from "../wire/task-freshness.ts";

/** Bytes of a content, as far as they are there and as they arrive. */
export interface ReadableContent {
  /** The same for all readers until the content is dropped; what is brought in its place has another. */
  readonly identity: object;
  /** Null: not known yet. */
  readonly length: number | null;
  /**
   * Bytes `from` … `to` − 1 in order, each as soon as it is verified; `to` null: to the end. A chunk is
   * its reader's, with its memory.
   * @param partBytesMax of one chunk @defaultValue RANGE_BYTES_MAX
   * @throws {DfError} when the rest will not come
   */
  read(
    from: number,
    to: number | null,
    signal: AbortSignal,
    partBytesMax?: number,
  ): AsyncGenerator<Uint8Array>;
  /**
   * For a reader in this process that found other bytes than the digest names that the task is named by: nothing
   * of it stays here, and nobody is offered it any more.
   */
  discard(): Promise<void>;
}

/** What the server asks of the peer. */
export interface LocalApi {
  /**
   * Joins a download as one more reader; leaving the loop leaves the download. Ends with `done`.
   * @throws {DfError} why it failed
   */
  download(request: DownloadRequest, signal: AbortSignal): AsyncGenerator<DownloadStreamEvent>;
  /** @param access what the request shows of its right; "" for nothing */
  content(contentId: string, access: string): ReadableContent | undefined;
  status(): PeerStatus;
  /** @throws {DfError} usage, denied */
  freshness(task: TaskRequest): Promise<FreshnessOnHost>;
  /** Answers whatever else is asked: health and metrics. @defaultValue nothing else is here */
  others?: (request: Request) => Response | Promise<Response>;
}

export interface LocalServer {
  /** Refuses new connections and closes the open ones. */
  stop(): Promise<void>;
}

const REQUEST_BODY_BYTES_MAX = 256 << 10;

const RANGE = /^bytes=(\d{1,15})-(\d{0,15})$/;

const requestSchema = z.strictObject({
  url: z.string().max(URL_BYTES_MAX),
  headers: headersSchema.optional(),
  tag: z.string().max(256).optional(),
  filterQuery: z.array(z.string().max(256)).max(64).optional(),
  checksum: checksumSchema.optional(),
  credentials: credentialsSchema.optional(),
  isSealed: z.boolean().optional(),
  registryKind: registryKindSchema.optional(),
  source: z.enum(["p2p", "supernode", "origin"]).optional(),
  noOrigin: z.boolean().optional(),
  limitRate: z.int().min(1).optional(),
});

/**
 * Serves the local API; the socket's file belongs to this user alone.
 * @param unix path of the socket; must not exist
 */
export function serveLocalApi(unix: string, api: LocalApi): LocalServer {
  // The file is made by bind: no moment in which others could open it.
  const umask = process.umask(0o177);
  let server: Bun.Server<undefined>;
  try {
    server = Bun.serve({
      unix,
      development: false,
      maxRequestBodySize: REQUEST_BODY_BYTES_MAX,
      // A download may be silent for as long as its source is. server.timeout(request, 0) is not
      // enough: Bun 1.4.5 forgets it with the first bytes of the answer. It heeds this option for
      // unix sockets too, which its types deny.
      ...({ idleTimeout: 0 } as object),
      fetch: (request) => answer(request, api).catch(refusal),
      error: refusal,
    });
  } finally {
    process.umask(umask);
  }
  return { stop: () => server.stop(true) };
}

async function answer(request: Request, api: LocalApi): Promise<Response> {
  const path = new URL(request.url).pathname;
  if (path === "/v1/downloads") {
    requireMethod(request, "POST");
    const download = await downloadRequestOf(request);
    return eventStream(api.download(download, request.signal));
  }
  if (path === "/v1/freshness") {
    requireMethod(request, "POST");
    return Response.json(await api.freshness(await taskOf(request)));
  }
  requireMethod(request, "GET");
  if (path === "/v1/status") return Response.json(api.status());
  const contentId = path.startsWith("/v1/contents/") ? path.slice("/v1/contents/".length) : "";
  const access = request.headers.get(ACCESS_HEADER) ?? "";
  const content = ID_PATTERN.test(contentId) ? api.content(contentId, access) : undefined;
  if (content !== undefined) return contentRange(request, content);
  if (api.others !== undefined && !path.startsWith("/v1/")) return api.others(request);
  return Response.json({ error: { code: "usage", message: `no ${path} here` } }, { status: 404 });
}

async function downloadRequestOf(request: Request): Promise<DownloadRequest> {
  const json: unknown = await request.json().catch(() => undefined);
  const parsed = requestSchema.safeParse(json);
  if (!parsed.success) {
    throw new DfError("usage", `read the download request: ${wordsOfFaults(parsed.error)}`);
  }
  // Absent and undefined say the same here.
  return parsed.data as DownloadRequest;
}

async function taskOf(request: Request): Promise<TaskRequest> {
  const parsed = taskSchema.safeParse(await request.json().catch(() => undefined));
  if (parsed.success && URL.canParse(parsed.data.url)) return parsed.data;
  throw new DfError("usage", "tell how fresh a task is: no URL is named");
}

/** Starts the answer with the first event: a failure before it still is an HTTP status. */
async function eventStream(events: AsyncGenerator<DownloadStreamEvent>): Promise<Response> {
  const first = await events.next();
  return new Response(linesOf(first, events), {
    headers: { "content-type": "application/x-ndjson" },
  });
}

async function* linesOf(
  first: IteratorResult<DownloadStreamEvent, void>,
  events: AsyncGenerator<DownloadStreamEvent>,
): AsyncGenerator<string> {
  try {
    for (let next = first; !next.done; next = await events.next()) {
      yield `${JSON.stringify(next.value)}\n`;
    }
  } catch (error) {
    const failed: DownloadStreamEvent = { event: "failed", error: dfErrorOf(error).toWire() };
    yield `${JSON.stringify(failed)}\n`;
  } finally {
    await events.return(undefined);
  }
}

async function contentRange(request: Request, content: ReadableContent): Promise<Response> {
  const header = request.headers.get("range");
  const length = content.length;
  if (header === null) {
    return bytesResponse(content.read(0, length, request.signal), { status: 200 });
  }
  const match = RANGE.exec(header);
  const from = Number(match?.[1] ?? NaN);
  const asked = match === null || match[2] === "" ? Infinity : Number(match[2]) + 1;
  const to = Math.min(asked, length ?? Infinity);
  if (!(from < to)) {
    const headers = { "content-range": `bytes */${length ?? "*"}` };
    return new Response(null, { status: 416, headers });
  }
  // The end of an unknown length is not known either: the range says as much as can be said.
  const last = Number.isFinite(to) ? `${to - 1}` : "";
  const headers = { "content-range": `bytes ${from}-${last}/${length ?? "*"}` };
  const bytes = content.read(from, Number.isFinite(to) ? to : null, request.signal);
  return bytesResponse(bytes, { status: 206, headers });
}

/**
 * A stream of bytes that a slow reader slows down, whatever it is fed from. It starts with the first
 * of them: that they cannot be read still is an HTTP status.
 */
async function bytesResponse(
  bytes: AsyncGenerator<Uint8Array>,
  init: { status: number; headers?: Record<string, string> },
): Promise<Response> {
  let first: IteratorResult<Uint8Array, void> | null = await bytes.next();
  const body = new ReadableStream<Uint8Array>({
    type: "bytes",
    async pull(controller) {
      const next = first ?? (await bytes.next());
      first = null;
      if (next.done) return controller.close();
      controller.enqueue(next.value as Uint8Array<ArrayBuffer>);
    },
    async cancel() {
      await bytes.return(undefined);
    },
  });
  const headers = { "content-type": "application/octet-stream", ...init.headers };
  return new Response(body, { ...init, headers });
}

function requireMethod(request: Request, method: string): void {
  if (request.method === method) return;
  throw new DfError("usage", `${request.method} is not answered here, only ${method}`);
}

function refusal(error: unknown): Response {
  const wrapped = dfErrorOf(error);
  return Response.json({ error: wrapped.toWire() }, { status: wrapped.status });
}

function dfErrorOf(error: unknown): DfError {
  if (isDfError(error)) return error;
  return new DfError("internal", messageOf(error), { cause: error });
}
