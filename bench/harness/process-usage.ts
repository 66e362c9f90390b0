// CPU seconds and resident memory of other processes, from /proc.

import { readFileSync } from "node:fs";

/** Linux reports CPU time to user space in ticks of 1/100 s on every architecture (USER_HZ). */
const TICKS_PER_SECOND = 100;

export interface ProcessUsage {
  cpuSeconds: number;
  residentBytes: number;
  /** Highest resident memory since the process started. */
  residentPeakBytes: number;
}

/** Null when the process is gone. */
export function processUsage(pid: number): ProcessUsage | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command name is in parentheses and may hold spaces: fields count from after it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
      residentBytes: kibibytes(status, "VmRSS"),
      residentPeakBytes: kibibytes(status, "VmHWM"),
    };
  } catch {
    return null;
  }
}

/** Sum over processes; those that are gone count nothing. */
export function usageOfAll(pids: readonly number[]): ProcessUsage {
  const total = { cpuSeconds: 0, residentBytes: 0, residentPeakBytes: 0 };
  for (const pid of pids) {
    const usage = processUsage(pid);
    total.cpuSeconds += usage?.cpuSeconds ?? 0;
    total.residentBytes += usage?.residentBytes ?? 0;
    total.residentPeakBytes += usage?.residentPeakBytes ?? 0;
  }
  return total;
}

function kibibytes(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
}
