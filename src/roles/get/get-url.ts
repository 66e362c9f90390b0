// Brings one URL: picks the way, opens the output, transfers, reports. The wiring diagram of `df get`.

import { type DigestAlgorithm, formatChecksum } from "../../engine/bytes/digest.ts";
import { taskIdOf } from "../../engine/bytes/task-id.ts";
import { DfError, isDfError } from "../../errors.ts";
import type { EgressGuard } from "../../net/egress/egress-guard.ts";
import type { LocalClient } from "../../net/local-client.ts";
import { redactUrl, splitRequest, taskFieldsOf } from "../../net/task-request.ts";
import type { DownloadRequest } from "../../net/wire/local-api.ts";
import type { GetOptions } from "./options.ts";
import type { Output } from "./output.ts";
import type { PeerAccess } from "./peer-access.ts";
import { type Route, routeOf } from "./route.ts";
import type { TransferResult, TransferWatcher } from "./transfer.ts";

export interface UrlDownload {
  readonly url: string;
  /** "-" is stdout. */
  readonly path: string;
  readonly options: GetOptions;
  readonly peers: PeerAccess;
  /** For what is read in this process. */
  readonly egress: EgressGuard;
}

export interface UrlResult extends TransferResult {
  readonly route: Route["kind"];
}

/** @throws {DfError} see downloadDirect and downloadFromPeer; usage for a URL that is none */
export async function getUrl(
  download: UrlDownload,
  watcher: TransferWatcher,
  outer: AbortSignal,
): Promise<UrlResult> {
  const { url, options, peers, path } = download;
  checkUrl(url);
  const signal = withDeadline(outer, options.totalTimeoutMs);
  const route = routeOf(url, options, await peers.isKnown());
  const output = await openOutput(path, signal);
  try {
    const result = await transfer(download, route, output, watcher, signal);
    await output.close(false);
    return result;
  } catch (error) {
    // Wrong bytes must not be resumed; anything else may.
    await output.close(isDfError(error, "checksum") || !options.shouldResume);
    throw error;
  }
}

async function transfer(
  download: UrlDownload,
  route: Route,
  output: Output,
  watcher: TransferWatcher,
  signal: AbortSignal,
): Promise<UrlResult> {
  if (route.kind === "direct") {
    if (route.notice !== null) watcher.notice(route.notice);
    return readDirect(download, output, watcher, signal);
  }
  try {
    return await throughSwarm(download, output, watcher, signal);
  } catch (error) {
    if (!isDfError(error, "not-shareable")) throw error;
    const { noOrigin, source } = download.options;
    if (noOrigin || source === "supernode") {
      throw new DfError("denied", error.message, { cause: error, hint: "leave --no-origin away" });
    }
    watcher.notice(`${error.message}: read from the source`);
    return readDirect(download, output, watcher, signal);
  }
}

async function throughSwarm(
  { url, options, peers }: UrlDownload,
  output: Output,
  watcher: TransferWatcher,
  signal: AbortSignal,
): Promise<UrlResult> {
  const { downloadFromPeer } = await import("./swarm-download.ts");
  const result = await downloadFromPeer(
    {
      request: requestOf(url, options),
      checksums: options.checksums,
      digests: reportedDigests(options),
      lengthMax: options.lengthMax,
      idleTimeoutMs: options.idleTimeoutMs,
      tries: options.tries,
      connect: (signal): Promise<LocalClient> => peers.connect(signal),
    },
    output,
    watcher,
    signal,
  );
  return { ...result, route: "swarm" };
}

async function readDirect(
  { url, options, egress }: UrlDownload,
  output: Output,
  watcher: TransferWatcher,
  signal: AbortSignal,
): Promise<UrlResult> {
  const { downloadDirect } = await import("./direct-download.ts");
  const request = requestOf(url, options);
  const visibility = request.credentials === undefined ? "public" : "private";
  const result = await downloadDirect(
    {
      source: {
        url,
        headers: { ...options.headers.reveal() },
        egress,
        trust: { ca: options.ca, isInsecure: options.isInsecure },
        timeoutMs: {
          connect: options.connectTimeoutMs,
          firstByte: options.idleTimeoutMs,
          stall: options.idleTimeoutMs,
        },
      },
      taskId: taskIdOf(taskFieldsOf(request, visibility)),
      shouldResume: options.shouldResume,
      checksums: options.checksums,
      digests: reportedDigests(options),
      limitRateBytesPerSec: options.limitRateBytesPerSec,
      lengthMax: options.lengthMax,
      tries: options.tries,
    },
    output,
    watcher,
    signal,
  );
  return { ...result, route: "direct" };
}

function requestOf(url: string, options: GetOptions): DownloadRequest {
  const [checksum] = options.checksums;
  return {
    ...splitRequest({ url, headers: options.headers.reveal() }, options.publicHeaders),
    ...(options.isSealed ? { isSealed: true } : {}),
    filterQuery: [...options.filterQuery],
    source: options.source,
    noOrigin: options.noOrigin,
    ...(options.tag === undefined ? {} : { tag: options.tag }),
    ...(checksum === undefined ? {} : { checksum: formatChecksum(checksum) }),
    ...(options.limitRateBytesPerSec === null ? {} : { limitRate: options.limitRateBytesPerSec }),
  };
}

/** Digests cost CPU: only a machine that reads the result gets those it did not ask for. */
function reportedDigests(options: GetOptions): DigestAlgorithm[] {
  return options.isJson ? ["md5", "sha256"] : [];
}

async function openOutput(path: string, signal: AbortSignal): Promise<Output> {
  if (path === "-") {
    const { StdoutOutput } = await import("./stdout-output.ts");
    return new StdoutOutput();
  }
  const { openOutputFile } = await import("../../store/output-file.ts");
  const { FileOutput } = await import("./file-output.ts");
  return new FileOutput(await openOutputFile(path, signal));
}

function withDeadline(signal: AbortSignal, totalTimeoutMs: number | null): AbortSignal {
  if (totalTimeoutMs === null) return signal;
  const late = new AbortController();
  const message = `get: not finished within ${totalTimeoutMs / 1000} s`;
  const expire = () => late.abort(new DfError("timeout", message, { hint: "raise --max-time" }));
  setTimeout(expire, totalTimeoutMs).unref();
  return AbortSignal.any([signal, late.signal]);
}

/** @throws {DfError} usage */
function checkUrl(url: string): void {
  const protocol = URL.canParse(url) ? new URL(url).protocol : null;
  if (protocol === "http:" || protocol === "https:") return;
  throw new DfError("usage", `get ${redactUrl(url)}: not an http or https URL`, {
    hint: "write the whole URL, e.g. https://example.org/file",
  });
}
