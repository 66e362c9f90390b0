// What `df get` says of one URL: a bar or lines on stderr; with --json one object per line on
// stdout, the last one of a URL tells its result. Without --json stdout stays empty.

import { DfError, messageOf, type WireError } from "../../errors.ts";
import { redactUrl } from "../../net/task-request.ts";
import { exitCodeOf, formatFailure } from "../command-line/failure.ts";
import type { UrlResult } from "./get-url.ts";
import type { GetOptions } from "./options.ts";
import { ProgressDisplay } from "./progress.ts";
import { JSON_VERSION, type ReportLine } from "./report.ts";
import { NO_BYTES, type TransferProgress, type TransferWatcher } from "./transfer.ts";

/** Often enough for a display that someone builds on it. */
const JSON_INTERVAL_MS = 250;

/** Shows one URL's transfer: a bar or lines on stderr, JSON lines on stdout. */
export class Reporter implements TransferWatcher {
  readonly #url: string;
  readonly #path: string;
  readonly #options: GetOptions;
  readonly #display: ProgressDisplay;
  #last: TransferProgress = {
    doneBytes: 0,
    length: null,
    bytes: NO_BYTES,
    wireBytes: 0,
    parents: 0,
  };
  #jsonAtMs = 0;

  constructor(url: string, path: string, options: GetOptions) {
    this.#url = redactUrl(url);
    this.#path = path;
    this.#options = options;
    const screen = {
      columns: process.stderr.columns || 80,
      write: (text: string) => void process.stderr.write(text),
    };
    const name = path === "-" ? "stdout" : path;
    this.#display = new ProgressDisplay(options.progress, name, screen, performance.now());
    this.#json({ event: "started", version: JSON_VERSION, url: this.#url, path });
  }

  progress(progress: TransferProgress): void {
    this.#last = progress;
    const nowMs = performance.now();
    this.#display.update(progress, nowMs);
    if (!this.#options.isJson || nowMs - this.#jsonAtMs < JSON_INTERVAL_MS) return;
    this.#jsonAtMs = nowMs;
    const { doneBytes, length, bytes, wireBytes } = progress;
    this.#json({ event: "progress", url: this.#url, doneBytes, length, bytes, wireBytes });
  }

  notice(message: string): void {
    if (!this.#options.isQuiet) this.#display.line(`df: ${message}`);
    this.#json({ event: "notice", url: this.#url, message });
  }

  kept(): void {
    if (!this.#options.isQuiet) this.#display.line(`df: ${this.#path} exists and is left as it is`);
    this.#result({ result: "kept" }, performance.now());
  }

  succeeded(result: UrlResult, startedAtMs: number): void {
    const { bytes, wireBytes } = result;
    const progress = { ...this.#last, doneBytes: result.length, bytes, wireBytes };
    this.#display.finish(progress, performance.now());
    this.#result(
      {
        result: "ok",
        route: result.route,
        length: result.length,
        bytes,
        wireBytes,
        md5: result.digests.get("md5") ?? null,
        sha256: result.digests.get("sha256") ?? null,
        tailMs: Math.round(performance.now() - result.lastByteAtMs),
      },
      startedAtMs,
    );
  }

  failed(error: unknown, startedAtMs: number): void {
    this.#display.clear();
    console.error(formatFailure(error, process.env["DEBUG"] === "1"));
    const exitCode = exitCodeOf(error);
    this.#result({ result: "failed", error: wireErrorOf(error), exitCode }, startedAtMs);
  }

  #result(result: Partial<Extract<ReportLine, { event: "result" }>>, startedAtMs: number): void {
    this.#json({
      event: "result",
      version: JSON_VERSION,
      result: "ok",
      url: this.#url,
      path: this.#path,
      route: null,
      length: this.#last.length,
      bytes: this.#last.bytes,
      wireBytes: this.#last.wireBytes,
      seconds: Math.round(performance.now() - startedAtMs) / 1000,
      md5: null,
      sha256: null,
      tailMs: 0,
      error: null,
      exitCode: 0,
      ...result,
    });
  }

  #json(line: ReportLine): void {
    if (!this.#options.isJson) return;
    // Stdout belongs to the bytes when they go there.
    if (this.#path === "-") console.error(JSON.stringify(line));
    else console.log(JSON.stringify(line));
  }
}

function wireErrorOf(error: unknown): WireError {
  return error instanceof DfError
    ? error.toWire()
    : { code: "internal", message: messageOf(error) };
}
