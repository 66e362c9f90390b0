// The logger of a long-running role, on stderr; log-line.ts says how its lines look.

import { type ConsolaInstance, createConsola, type LogObject } from "consola";
import { type LogLevel, logLine } from "./log-line.ts";

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
    const message = entry.args.map(String).join(" ");
    const line = { at: entry.date, level: levelOf(entry.level), component, message };
    write(`${logLine(line, isJson)}\n`);
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
