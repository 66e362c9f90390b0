// The lines of `df get --json`: one object each, a stable schema for scripts and benches.

import type { WireError } from "../../errors.ts";
import type { BytesBySource } from "../../net/wire/local-api.ts";

/** Raised when a field changes its meaning; new fields do not count. */
export const JSON_VERSION = 1;

export type ReportLine =
  | { event: "started"; version: typeof JSON_VERSION; url: string; path: string }
  | { event: "notice"; url: string; message: string }
  | {
      event: "progress";
      url: string;
      doneBytes: number;
      length: number | null;
      bytes: BytesBySource;
      wireBytes: number;
    }
  | {
      event: "result";
      version: typeof JSON_VERSION;
      result: "ok" | "kept" | "failed";
      url: string;
      /** "-" for stdout. */
      path: string;
      /** "direct" without a swarm. */
      route: "swarm" | "direct" | null;
      length: number | null;
      /** Plain bytes by where they came from. */
      bytes: BytesBySource;
      /** Bytes that travelled here for what was not on this host: compressed ones as they came. */
      wireBytes: number;
      seconds: number;
      md5: string | null;
      sha256: string | null;
      /** From the last byte written to the end: digests, sync, rename. */
      tailMs: number;
      error: WireError | null;
      exitCode: number;
    };
