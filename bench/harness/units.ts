// Reads and prints the sizes and rates of bench command lines. 1 MB = 10^6 bytes, 1 MiB = 2^20.

const SIZE_UNITS: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};
const RATE_UNITS: Record<string, number> = { KBPS: 1e3, MBPS: 1e6, GBPS: 1e9 };

/** Bytes of "20MB" or "1GiB". */
export function parseSize(text: string): number {
  return parseWith(SIZE_UNITS, text, "a size such as 20MB or 1GiB");
}

/** Bits per second of "10Mbps". */
export function parseBitRate(text: string): number {
  return parseWith(RATE_UNITS, text, "a rate such as 10Mbps");
}

function parseWith(units: Record<string, number>, text: string, wanted: string): number {
  const [, number, unit] = /^([\d.]+)\s*([A-Za-z]*)$/.exec(text) ?? [];
  const factor = units[unit?.toUpperCase() ?? ""];
  if (number === undefined || factor === undefined) throw new Error(`"${text}" is not ${wanted}`);
  return Math.round(Number(number) * factor);
}

/** Bytes in MB with one decimal. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
