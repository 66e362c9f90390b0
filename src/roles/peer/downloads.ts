// The downloads under way on this host: two requests for one task are one download with two
// readers; a download that nobody reads any more is stopped after a while.

import { Pacer } from "../../engine/bytes/pacing.ts";
import { taskIdOf } from "../../engine/bytes/task-id.ts";
import { DfError, isDfError } from "../../errors.ts";
import { READERLESS_GRACE_MS } from "../../limits.ts";
import { checkRegistryTask } from "../../net/registry/check-registry-task.ts";
import { redactUrl, taskFieldsOf, visibilityOf, wholeRequestOf } from "../../net/task-request.ts";
import type { DownloadRequest, DownloadStreamEvent, PeerStatus } from "../../net/wire/local-api.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import { underSourceRules } from "../settings/source-rules.ts";
import { addDownload, type DownloadCounts, noDownloads } from "./download-counts.ts";
import { followDownload } from "./follow-download.ts";
import { askAs } from "./ask-as.ts";
import { needsSupernode } from "./download-faults.ts";
import type { DownloadOptions, DownloadPolicy, DownloadSurroundings } from "./download-parts.ts";
import { PeerDownload } from "./peer-download.ts";
import { ReadGrants } from "./read-grants.ts";

interface Reader extends DownloadPolicy {
  /** Bytes per second it asked for; null: as fast as it goes. */
  rateBytesPerSec: number | null;
}

/** A source that changes, or others' downloads that fail, so often are given up. */
const TRIES_MAX = 3;

/** One download and who waits for it. */
interface Shared {
  download: PeerDownload;
  pacer: Pacer;
  readers: Map<symbol, Reader>;
  grace: ReturnType<typeof setTimeout> | undefined;
  /** Brings already what this one would have brought too; null: nobody does. */
  other: Shared | null;
}

export interface DownloadsOptions extends DownloadSurroundings {
  /** Called when the last reader of all downloads left, and when the first came. */
  onIdle: (isIdle: boolean) => void;
}

export class Downloads {
  readonly #options: DownloadsOptions;
  readonly #shared = new Map<string, Shared>();
  #readerCount = 0;
  readonly #ended = noDownloads();
  readonly #grants = new ReadGrants();
  #nextPrivate = 0;

  constructor(options: DownloadsOptions) {
    this.#options = options;
  }

  get readerCount(): number {
    return this.#readerCount;
  }

  /** Bytes that came over the network since the start. */
  get downloadedBytes(): number {
    const { source, supernode, peers } = this.counts.bytes;
    return source + supernode + peers;
  }

  /** Of those, bytes that need not travel, because pieces come compressed. */
  get savedBytes(): number {
    return this.downloadedBytes - this.counts.wireBytes;
  }

  /** Since the start, with those under way. */
  get counts(): DownloadCounts {
    const counts = structuredClone(this.#ended);
    for (const { download } of this.#shared.values()) addDownload(counts, download);
    return counts;
  }

  get status(): PeerStatus["downloads"] {
    return [...this.#shared.values()].flatMap(({ download, readers }) => {
      const { contentId, transfer, task } = download;
      if (contentId === null || transfer === null) return [];
      const { length } = transfer.content.manifest.layout;
      const { doneBytes, bytes, wireBytes } = transfer;
      if (task.credentials !== undefined) return [];
      const url = redactUrl(task.url);
      return { contentId, url, doneBytes, length, readers: readers.size, bytes, wireBytes };
    });
  }

  /**
   * Joins the download of a task, or starts it; the reader leaves with the generator's end.
   * @throws {DfError} usage, not-shareable, or why the download failed
   */
  async *read(request: DownloadRequest, signal: AbortSignal): AsyncGenerator<DownloadStreamEvent> {
    const task = underSourceRules(taskOf(request), this.#options.settings.current);
    if (task.credentials === undefined) yield* this.#readPublic(request, task, signal);
    else yield* this.#readPrivate(request, task, signal);
  }

  /**
   * What has the digest that is asked for may be another task's content, which another download brings; and
   * what a source says to another reader's URL of that digest is not this one's affair.
   */
  async *#readPublic(
    request: DownloadRequest,
    task: TaskRequest,
    signal: AbortSignal,
  ): AsyncGenerator<DownloadStreamEvent> {
    let shared = this.#join(request, task);
    for (let tries = 1; ; tries++) {
      try {
        yield* this.#follow(shared, request, signal);
        return;
      } catch (error) {
        const { other, download } = shared;
        const isOwn = other === null && download.task.url === task.url;
        if (isOwn || signal.aborted || tries === TRIES_MAX) throw error;
        shared = other?.download.state.kind === "running" ? other : this.#join(request, task);
      }
    }
  }

  /** Whether a reader that shows `word` may have a private content's bytes. */
  isGranted(contentId: string, word: string): boolean {
    return this.#grants.isGranted(contentId, word);
  }

  async *#follow(
    shared: Shared,
    request: DownloadRequest,
    signal: AbortSignal,
  ): AsyncGenerator<DownloadStreamEvent> {
    const reader = Symbol("reader");
    const rateBytesPerSec = request.limitRate ?? null;
    shared.readers.set(reader, { ...policyOf(request), rateBytesPerSec });
    this.#readersChanged(shared, 1);
    try {
      yield* followDownload(shared.download, signal);
    } finally {
      shared.readers.delete(reader);
      this.#readersChanged(shared, -1);
    }
  }

  /**
   * Every reader of a private task is proven with his own credentials: by the join of the download that he
   * begins, or by a question before he shares another one's, of the very version that he may have.
   */
  async *#readPrivate(
    request: DownloadRequest,
    task: TaskRequest,
    signal: AbortSignal,
  ): AsyncGenerator<DownloadStreamEvent> {
    const taskId = taskIdOf(taskFieldsOf(task, "private"));
    for (let tries = 1; ; tries++) {
      const others = this.#privateOf(taskId);
      const mine = others.length === 0 ? null : await this.#ask(taskId, task, request, signal);
      const shared = mine === null ? undefined : await bringerOf(mine, others, signal);
      try {
        yield* shared === undefined
          ? this.#granted(this.#follow(this.#beginPrivate(taskId, task, request), request, signal))
          : this.#granted(this.#follow(shared, request, signal), mine);
        return;
      } catch (error) {
        // What went wrong for another user is not this one's affair.
        const isOthers = shared !== undefined && !signal.aborted;
        const mayJoinOther = isOthers || isDfError(error, "source-changed");
        if (!mayJoinOther || tries === TRIES_MAX) throw error;
      }
    }
  }

  /** Which content this user may have, as a supernode says. */
  async #ask(
    taskId: string,
    task: TaskRequest,
    request: DownloadRequest,
    signal: AbortSignal,
  ): Promise<string> {
    try {
      return await askAs(this.#options.supernodes, { taskId, task }, signal);
    } catch (error) {
      // Then he reads the source himself, where he may.
      const mayReadSelf = isDfError(error, "no-supernode") && policyOf(request).mayReadSource;
      throw mayReadSelf ? needsSupernode({ taskId, task }) : error;
    }
  }

  /** Lets a proven reader have the bytes. @param only the version he was proven for; null: his own download's */
  async *#granted(
    events: AsyncGenerator<DownloadStreamEvent>,
    only: string | null = null,
  ): AsyncGenerator<DownloadStreamEvent> {
    let word: string | null = null;
    try {
      for await (const event of events) {
        if (event.event !== "content") {
          yield event;
          continue;
        }
        if (only !== null && event.contentId !== only) throw anotherVersion(event.contentId);
        if (word !== null) this.#grants.end(word);
        word = this.#grants.begin(event.contentId);
        // The data file is for those who need no proof.
        yield { ...event, dataPath: null, access: word };
      }
    } finally {
      if (word !== null) this.#grants.end(word);
    }
  }

  /** Downloads of a private task under way, each for another user. */
  #privateOf(taskId: string): Shared[] {
    return [...this.#shared.values()].filter(
      ({ download }) =>
        download.state.kind === "running" &&
        download.task.credentials !== undefined &&
        download.taskId === taskId,
    );
  }

  /** @throws {DfError} not-shareable where the source alone is wanted */
  #beginPrivate(taskId: string, task: TaskRequest, request: DownloadRequest): Shared {
    if (request.source === "origin") {
      throw new DfError("not-shareable", `bring ${redactUrl(task.url)} from the source: private`);
    }
    const key = `${taskId} private ${this.#nextPrivate++}`;
    return this.#begin(key, { taskId, task, mustReadSelf: false, policy: policyOf(request) });
  }

  /** The download that brings a content, if one does. */
  bringing(contentId: string): PeerDownload | undefined {
    for (const { download } of this.#shared.values()) {
      if (download.contentId === contentId) return download;
    }
    return undefined;
  }

  #othersBringing(contentId: string, own: PeerDownload): Shared | null {
    for (const shared of this.#shared.values()) {
      const { download } = shared;
      const isRunning = download !== own && download.state.kind === "running";
      if (isRunning && download.contentId === contentId) return shared;
    }
    return null;
  }

  stop(): void {
    for (const { download, grace } of this.#shared.values()) {
      clearTimeout(grace);
      download.stop();
    }
    this.#shared.clear();
  }

  #join(request: DownloadRequest, task: TaskRequest): Shared {
    const taskId = taskIdOf(taskFieldsOf(task, "public"));
    const mustReadSelf = request.source === "origin";
    const policy = policyOf(request);
    if (mustReadSelf && !policy.mayReadSource) {
      throw new DfError(
        "usage",
        "bring from the source, and never read the source: both were asked",
      );
    }
    const key = `${taskId} ${mustReadSelf}`;
    const known = this.#shared.get(key);
    if (known?.download.state.kind === "running") return known;
    const other = this.#shared.get(`${taskId} ${!mustReadSelf}`)?.download;
    return this.#begin(key, { taskId, task, mustReadSelf, policy }, other);
  }

  /** @param other to be waited for */
  #begin(
    key: string,
    options: Omit<DownloadOptions, "pacer" | "mayBring">,
    other?: PeerDownload,
  ): Shared {
    const pacer = new Pacer(null);
    const mayBring = (contentId: string): boolean => {
      shared.other = this.#othersBringing(contentId, download);
      return shared.other === null;
    };
    const download = new PeerDownload(this.#options, { ...options, pacer, mayBring });
    const shared: Shared = { download, pacer, readers: new Map(), grace: undefined, other: null };
    this.#shared.set(key, shared);
    void this.#start(download, other);
    void this.#forgetWhenSettled(key, shared);
    return shared;
  }

  /** Swarm and source would write into one file: two writers in one piece could spoil it. */
  async #start(download: PeerDownload, other: PeerDownload | undefined): Promise<void> {
    if (other !== undefined) await settled(other);
    // Its readers have all of a download before its content is synced: asked again meanwhile, the source would be.
    await this.#options.shared.completed(download.taskId);
    if (download.state.kind === "running") download.start();
  }

  async #forgetWhenSettled(key: string, shared: Shared): Promise<void> {
    await settled(shared.download);
    clearTimeout(shared.grace);
    this.#forget(key, shared);
  }

  #readersChanged(shared: Shared, change: 1 | -1): void {
    this.#readerCount += change;
    const readers = [...shared.readers.values()];
    const rates = readers.map(({ rateBytesPerSec }) => rateBytesPerSec);
    if (readers.length > 0) {
      shared.download.allow({
        mayReadSource: readers.some(({ mayReadSource }) => mayReadSource),
        seedsOnly: readers.every(({ seedsOnly }) => seedsOnly),
      });
    }
    // The fastest reader decides: the others read from the store at their own pace.
    const isLimited = rates.length > 0 && rates.every((rate) => rate !== null);
    shared.pacer.setRate(isLimited ? Math.max(...rates) : null);
    clearTimeout(shared.grace);
    if (rates.length === 0)
      shared.grace = setTimeout(() => this.#abandon(shared), READERLESS_GRACE_MS);
    if (this.#readerCount === (change === 1 ? 1 : 0)) this.#options.onIdle(change === -1);
  }

  #abandon(shared: Shared): void {
    if (shared.download.state.kind !== "running") return;
    for (const key of this.#shared.keys()) this.#forget(key, shared);
    shared.download.stop();
  }

  #forget(key: string, shared: Shared): void {
    if (this.#shared.get(key) !== shared) return;
    this.#shared.delete(key);
    addDownload(this.#ended, shared.download);
  }
}

async function settled(download: PeerDownload): Promise<void> {
  const never = new AbortController().signal;
  while (download.state.kind === "running") await download.ending.next(never);
}

function policyOf({ source, noOrigin }: DownloadRequest): DownloadPolicy {
  const seedsOnly = source === "supernode";
  return { seedsOnly, mayReadSource: noOrigin !== true && !seedsOnly };
}

/** The download that brings a content, of some that may; undefined: none does. */
async function bringerOf(
  contentId: string,
  candidates: readonly Shared[],
  signal: AbortSignal,
): Promise<Shared | undefined> {
  for (const shared of candidates) {
    const { download } = shared;
    while (download.state.kind === "running" && download.contentId === null)
      await download.changes.next(signal);
    if (download.state.kind === "running" && download.contentId === contentId) return shared;
  }
  return undefined;
}

function anotherVersion(contentId: string): DfError {
  return new DfError("source-changed", `follow another user's download: it is of ${contentId} now`);
}

/** @throws {DfError} usage, not-shareable */
function taskOf(request: DownloadRequest): TaskRequest {
  const { url, headers = {}, tag = "", filterQuery = [], checksum = "" } = request;
  const { credentials, isSealed, registryKind } = request;
  if (!URL.canParse(url) || !/^https?:/.test(url)) {
    throw new DfError("usage", "bring a URL: it is none that df can read", {
      hint: "write http:// or https:// in front",
    });
  }
  // What the client sends besides neutral headers was declared public by its user.
  const visibility = visibilityOf({ url, headers }, Object.keys(headers));
  if (visibility.kind === "private") {
    throw new DfError("not-shareable", `bring a private URL (${visibility.because})`, {
      hint: "read it from the source directly",
    });
  }
  const task: TaskRequest = {
    ...{ url, headers, tag, filterQuery: [...filterQuery], checksum },
    ...(credentials === undefined ? {} : { credentials }),
    ...(isSealed === true ? { isSealed } : {}),
    ...(registryKind === undefined ? {} : { registryKind }),
  };
  checkRegistryTask(task);
  try {
    wholeRequestOf(task);
  } catch (cause) {
    throw new DfError("usage", `bring ${redactUrl(url)}: its credentials do not belong to it`, {
      cause,
    });
  }
  return task;
}
