// Log lines of a long-running role, on stderr: plain for people and the journal, JSON for collectors.
//
//   2026-01-31T12:00:00.000Z info supernode: ready on 10.0.0.5:8002
//   {"ts":"…","level":"info","component":"supernode","msg":"ready on 10.0.0.5:8002"}

import { type ConsolaInstance, createConsola, type LogObject } from "consola";

export const LOG_LEVELS = ["error", "warning", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Consola's numbers; each level shows those before it too. */
const CONSOLA_LEVEL: Record<LogLevel, number> = { error: 0, warning: 1, info: 3, debug: 4 };

export interface ServiceLogOptions {
  /** The role: begins plain lines, is a field of JSON ones. */
  component: string;
  isJson: boolean;
  level: LogLevel;
  /** @defaultValue to stderr */
  write?: (line: string) => void;
}

/** A logger whose level may change while the role runs; see `setLogLevel`. */
export function createServiceLog(options: ServiceLogOptions): ConsolaInstance {
  const { component, isJson, level, write = (line) => process.stderr.write(line) } = options;
  const log = (entry: LogObject): void => {
    const msg = entry.args.map(String).join(" ");
    const line = { ts: entry.date.toISOString(), level: levelOf(entry.level), component, msg };
    // One line each, whatever a source or a peer put into a message.
    const plain = `${line.ts} ${line.level} ${component}: ${msg.replaceAll(/\s*\n\s*/g, " | ")}`;
    write(`${isJson ? JSON.stringify(line) : plain}\n`);
  };
  return createConsola({ level: CONSOLA_LEVEL[level], throttle: 0, reporters: [{ log }] });
}

export function setLogLevel(log: ConsolaInstance, level: LogLevel): void {
  log.level = CONSOLA_LEVEL[level];
}

function levelOf(consolaLevel: number): LogLevel {
  if (consolaLevel <= CONSOLA_LEVEL.error) return "error";
  if (consolaLevel <= CONSOLA_LEVEL.warning) return "warning";
  return consolaLevel <= CONSOLA_LEVEL.info ? "info" : "debug";
}
