// A peer's status in words.

import type { BytesBySource, PeerStatus } from "../../net/wire/local-api.ts";
import { formatBytes, wireWords } from "../get/progress.ts";
import { describeStore } from "./store-status.ts";

export function describePeer(status: PeerStatus): string {
  const { store } = status;
  return [
    `peer ${status.peerId.slice(0, 12)}  df ${status.version}  pid ${status.pid}`,
    `serves pieces on ${status.listen ?? "no address: it only downloads"}`,
    ...(status.proxy === undefined ? [] : describeProxy(status.proxy)),
    ...status.supernodes.map(
      ({ address, connected }) =>
        `supernode ${address}  ${connected ? "connected" : "not connected"}`,
    ),
    describeStore(store),
    `downloaded ${formatBytes(status.downloadedBytes)}${saved(status)}, uploaded ${formatBytes(status.uploadedBytes)}`,
    ...status.downloads.map(({ url, doneBytes, length, bytes, wireBytes }) => {
      const whole = length === null ? "?" : formatBytes(length);
      const wire = wireWords(bytes, wireBytes);
      return `bringing ${url}: ${formatBytes(doneBytes)} of ${whole} (${whence(bytes)}${wire})`;
    }),
  ].join("\n");
}

function describeProxy(proxy: NonNullable<PeerStatus["proxy"]>): string[] {
  const { listen, forwards = { swarm: 0, missed: 0 } } = proxy;
  const place = `registry mirror and proxy on ${listen}${mirrored(proxy)}`;
  if (forwards.swarm + forwards.missed === 0) return [place];
  return [
    place,
    `rules of the proxy: ${forwards.swarm} answered from the swarm, ${forwards.missed} by their targets all the same`,
  ];
}

function mirrored({ requests, bytes }: NonNullable<PeerStatus["proxy"]>): string {
  if (requests === undefined || bytes === undefined) return "";
  if (requests.swarm + requests.registry + requests.failed === 0) return "";
  const told = [
    `${requests.swarm} answered from the swarm (${formatBytes(bytes.swarm)})`,
    `${requests.registry} by registries (${formatBytes(bytes.registry)})`,
    ...(requests.failed > 0 ? [`${requests.failed} failed`] : []),
  ];
  return `: ${told.join(", ")}`;
}

function saved({ savedBytes }: PeerStatus): string {
  return savedBytes > 0 ? ` (${formatBytes(savedBytes)} of it never travelled: compressed)` : "";
}

/** Where bytes came from, the largest share first. */
function whence(bytes: BytesBySource): string {
  const shares = Object.entries(bytes)
    .filter(([, count]) => count > 0)
    .toSorted(([, a], [, b]) => b - a)
    .map(([from, count]) => `${formatBytes(count)} from ${from}`);
  return shares.length === 0 ? "nothing yet" : shares.join(", ");
}
