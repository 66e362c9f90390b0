// A role's metrics: its own numbers are read when somebody asks, so that counting costs nothing in
// between. Base units, no label that grows with tasks or URLs.

import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";

/** One reading by label values, or one number where there is no label. */
export type Reading = number | readonly { labels: Record<string, string>; value: number }[];

export interface MetricSource {
  /** Without the prefix `dragonfly_`; a counter ends in `_total`. */
  name: string;
  help: string;
  labels?: readonly string[];
  /** Called at each scrape; a counter's must never fall while the process lives. */
  read: () => Reading;
}

/** The registry of one role: the process's own metrics, its build, and `sources`. */
export function createMetrics(
  role: { name: string; version: string },
  sources: readonly MetricSource[],
): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const build = new Gauge({
    name: "dragonfly_build_info",
    help: "1, labelled with role and version",
    labelNames: ["role", "version"],
    registers: [registry],
  });
  build.set({ role: role.name, version: role.version }, 1);
  for (const source of sources) register(registry, source);
  return registry;
}

function register(registry: Registry, { name, help, labels = [], read }: MetricSource): void {
  const options = {
    name: `dragonfly_${name}`,
    help,
    labelNames: [...labels],
    registers: [registry],
  };
  const readings = (): { labels: Record<string, string>; value: number }[] => {
    const reading = read();
    return typeof reading === "number" ? [{ labels: {}, value: reading }] : [...reading];
  };
  if (name.endsWith("_total")) {
    // prom-client's counters only add: what was counted elsewhere is set anew at each scrape.
    void new Counter({
      ...options,
      collect() {
        this.reset();
        for (const { labels, value } of readings()) this.inc(labels, value);
      },
    });
    return;
  }
  void new Gauge({
    ...options,
    collect() {
      this.reset();
      for (const { labels, value } of readings()) this.set(labels, value);
    },
  });
}
