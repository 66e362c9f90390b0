// How a line of a long-running role's log looks: plain for people and the journal, JSON for collectors.
//
//   2026-01-31T12:00:00.000Z info supernode: ready on 10.0.0.5:8002
//   {"ts":"…","level":"info","component":"supernode","msg":"ready on 10.0.0.5:8002"}

export type LogLevel = "error" | "warning" | "info" | "debug";

export interface LogEntry {
  at: Date;
  level: LogLevel;
  /** The role: begins plain lines, is a field of JSON ones. */
  component: string;
  message: string;
}

/** One line each, whatever a source or a peer put into a message; without the line feed. */
export function logLine({ at, level, component, message }: LogEntry, isJson: boolean): string {
  const ts = at.toISOString();
  if (isJson) return JSON.stringify({ ts, level, component, msg: message });
  return `${ts} ${level} ${component}: ${message.replaceAll(/\s*\n\s*/g, " | ")}`;
}
