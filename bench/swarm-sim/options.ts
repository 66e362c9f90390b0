// The command line of the simulator: quantities with units, and what follows from them.

import { parseArgs } from "node:util";

const SIZE_UNITS: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 1 << 10,
  MiB: 1 << 20,
  GiB: 1 << 30,
};
const RATE_UNITS: Record<string, number> = {
  bps: 1 / 8,
  kbps: 1e3 / 8,
  Mbps: 1e6 / 8,
  Gbps: 1e9 / 8,
};

/** Bytes of "200MB", "512KiB" or "1000". */
export function parseSize(text: string): number {
  return Math.round(quantity(text, SIZE_UNITS, "B"));
}

/** Bytes per second of "200Mbps". */
export function parseRate(text: string): number {
  return quantity(text, RATE_UNITS, "bps");
}

/** A fleet of `count` hosts from "200Mbps" or "100Mbps:0.5,1000Mbps:0.5" (rate and share of hosts). */
export function parseFleet(
  text: string,
  count: number,
): { label: string; rate: number; hosts: number }[] {
  const classes = text.split(",").map((part) => {
    const [rate, share = "1"] = part.split(":");
    return { label: rate!, rate: parseRate(rate!), share: Number(share) };
  });
  const total = classes.reduce((sum, { share }) => sum + share, 0);
  if (!(total > 0)) throw new RangeError(`host rate ${text}: shares must be positive`);
  let assigned = 0;
  return classes.map(({ label, rate, share }, index) => {
    const hosts =
      index === classes.length - 1 ? count - assigned : Math.round((count * share) / total);
    assigned += hosts;
    return { label, rate, hosts };
  });
}

/** A whole number from 1 up. */
export function parseCount(flag: string, text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new RangeError(`${flag} ${text}: a whole number from 1 up`);
  }
  return count;
}

function quantity(text: string, units: Record<string, number>, plain: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text);
  const unit = units[match?.[2] || plain];
  if (match === null || unit === undefined) {
    throw new RangeError(
      `cannot read "${text}": a number and one of ${Object.keys(units).join(", ")}`,
    );
  }
  return Number(match[1]) * unit;
}

export function parseCommandLine(argv: string[]) {
  const { values } = parseArgs({
    args: argv,
    strict: true,
    options: {
      peers: { type: "string", default: "1000" },
      size: { type: "string", default: "200MB" },
      "host-rate": { type: "string", default: "200Mbps" },
      "seed-rate": { type: "string", default: "2Gbps" },
      seeds: { type: "string", default: "2" },
      "piece-length": { type: "string" },
      "control-us": { type: "string" },
      "message-us": { type: "string" },
      "control-free": { type: "boolean", default: false },
      "peer-slots": { type: "string" },
      "seed-slots": { type: "string" },
      "download-slots": { type: "string" },
      "rtt-us": { type: "string", default: "500" },
      "request-us": { type: "string", default: "200" },
      "wire-factor": { type: "string", default: "1" },
      "request-bytes": { type: "string", default: "0" },
      "join-spread-ms": { type: "string", default: "20" },
      seed: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
    },
  });
  // Checked here, so that a wrong one is told like an unknown flag.
  parseSize(values.size);
  parseFleet(values["host-rate"], parseCount("--peers", values.peers));
  parseRate(values["seed-rate"]);
  parseCount("--seeds", values.seeds);
  return values;
}
