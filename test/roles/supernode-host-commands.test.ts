// What a supernode passes on to its hosts: credentials only where nobody else hears them.

import { expect, test } from "bun:test";
import type { Command, CommandResult } from "../../src/net/wire/command.ts";
import type { ConnectedPeer } from "../../src/roles/supernode/connected-peer.ts";
import { HostCommands } from "../../src/roles/supernode/host-commands.ts";

const HOSTS = ["aa".repeat(32), "bb".repeat(32)] as const;
const URL_A = "https://registry.example/v2/app/blobs/a";

function preheat(credentials: boolean): Command {
  const headers = { authorization: "Bearer very-secret" };
  return {
    ...{ kind: "preheat", id: `job-0-1-${credentials ? 1 : 2}`, hosts: [...HOSTS] },
    task: {
      ...{ url: URL_A, headers: {}, tag: "", filterQuery: [], checksum: "" },
      ...(credentials ? { credentials: { url: URL_A, headers } } : {}),
    },
    expiresAt: Date.now() / 1000 + 60,
  };
}

test("an order that carries credentials is given over channels alone that nobody else hears", () => {
  const sent: [string, unknown][] = [];
  const results: CommandResult[] = [];
  const peers = HOSTS.map((hostId) => ({
    channel: { hello: { hostId }, send: (message: unknown) => sent.push([hostId, message]) },
  })) as unknown as ConnectedPeer[];
  const commands = new HostCommands({
    peers: () => peers,
    isConfidential: (peer) => peer === peers[0],
    report: (result) => results.push(result),
  });

  commands.take(preheat(true));
  commands.take(preheat(false));
  for (const peer of peers) commands.arrived(peer);

  expect(sent.filter(([, message]) => JSON.stringify(message).includes("very-secret"))).toEqual([
    [HOSTS[0], expect.anything()],
    [HOSTS[0], expect.anything()],
  ]);
  // Each twice: at once, and to hosts that came back before they answered.
  expect(sent.map(([hostId]) => hostId).toSorted()).toEqual([
    ...Array<string>(4).fill(HOSTS[0]),
    ...Array<string>(2).fill(HOSTS[1]),
  ]);
  expect(results).toMatchObject([
    { id: "job-0-1-1", hostId: HOSTS[1], state: "failed", error: { code: "not-shareable" } },
  ]);
});
