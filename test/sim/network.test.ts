// The simulated network may never carry more than its links do: a ratio to a fluid limit means
// nothing over links that cheat.

import { expect, test } from "bun:test";

import { Network } from "../../bench/swarm-sim/network.ts";
import { Prng } from "../../src/engine/core/prng.ts";

/** Links of `rates` bytes per microsecond, the same up and down. */
function network(...rates: number[]): Network {
  return new Network(Float64Array.from(rates.flatMap((rate) => [rate, rate])));
}

/** Runs all transfers to their end; returns the time of each end by transfer. */
function drain(net: Network): Map<number, number> {
  const ends = new Map<number, number>();
  while (net.nextEndUs !== Infinity) {
    const flow = net.nextFlow;
    const atUs = net.nextEndUs;
    ends.set(flow, atUs);
    net.remove(atUs, flow);
  }
  return ends;
}

test("a transfer runs at the slower of its two links", () => {
  const net = network(10, 2);

  const flow = net.start(0, 0, 1, 1000);

  expect(drain(net).get(flow)).toBe(500);
});

test("two transfers share an up link equally, and the one left gets all of it", () => {
  const net = network(10, 10, 10);

  const short = net.start(0, 0, 1, 1000);
  const long = net.start(0, 0, 2, 2000);

  const ends = drain(net);
  expect(ends.get(short)).toBe(200);
  expect(ends.get(long)).toBe(300);
});

test("what a slow child leaves of its parent's link goes to the other child", () => {
  const net = network(10, 2, 10);

  net.start(0, 0, 1, 10_000);
  const fast = net.start(0, 0, 2, 8_000);

  expect(drain(net).get(fast)).toBe(1000);
});

test("no link carries more than its rate, over random swarms", () => {
  for (let seed = 0; seed < 10; seed++) {
    const prng = new Prng(seed);
    const hosts = 30;
    const rates = Array.from({ length: hosts }, () => 1 + prng.below(20));
    const net = network(...rates);
    const sent = new Float64Array(hosts);
    const received = new Float64Array(hosts);
    const flows = new Map<number, { from: number; to: number; bytes: number }>();
    let nowUs = 0;
    for (let i = 0; i < 5_000 || flows.size > 0; i++) {
      while (i < 5_000 && flows.size < 90) {
        const from = prng.below(hosts);
        const to = (from + 1 + prng.below(hosts - 1)) % hosts;
        const bytes = 1_000_000;
        flows.set(net.start(nowUs, from, to, bytes), { from, to, bytes });
      }
      nowUs = net.nextEndUs;
      const { from, to, bytes } = flows.get(net.nextFlow)!;
      flows.delete(net.nextFlow);
      net.remove(nowUs, net.nextFlow);
      sent[from]! += bytes;
      received[to]! += bytes;
    }
    for (let host = 0; host < hosts; host++) {
      expect(sent[host]! / (rates[host]! * nowUs)).toBeLessThan(1.005);
      expect(received[host]! / (rates[host]! * nowUs)).toBeLessThan(1.005);
    }
  }
});
