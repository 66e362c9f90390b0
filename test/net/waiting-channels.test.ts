// Who makes room when too many channels of one address wait for their hello.

import { expect, test } from "bun:test";
import { WaitingChannels } from "../../src/net/swarm/waiting-channels.ts";

function channelsOf(count: number, made: number[]): { makeRoom(): void }[] {
  return Array.from({ length: count }, (_, i) => ({ makeRoom: () => void made.push(i) }));
}

test("T-34: a flood from one address pushes out its own channels, the longest waiting first", () => {
  const waiting = new WaitingChannels(3);
  const pushedOut: number[] = [];
  const bystander: number[] = [];
  waiting.entered("10.0.0.2", channelsOf(1, bystander)[0]!);

  for (const channel of channelsOf(5, pushedOut)) waiting.entered("10.0.0.1", channel);

  expect(pushedOut).toEqual([0, 1]);
  expect(bystander).toEqual([]);
});

test("who was admitted makes no room and needs none", () => {
  const waiting = new WaitingChannels(2);
  const pushedOut: number[] = [];
  const channels = channelsOf(4, pushedOut);

  for (const channel of channels) {
    waiting.entered("10.0.0.1", channel);
    waiting.left("10.0.0.1", channel);
  }

  expect(pushedOut).toEqual([]);
});

test("an IPv6 network counts as one address", () => {
  const waiting = new WaitingChannels(1);
  const pushedOut: number[] = [];

  for (const [i, channel] of channelsOf(3, pushedOut).entries()) {
    waiting.entered(`2001:db8::${i}`, channel);
  }

  expect(pushedOut).toEqual([0, 1]);
});
