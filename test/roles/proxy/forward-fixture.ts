// A proxy's port as a peer opens it, before a real peer of this process and a source on loopback, and
// clients that speak through it as bytes or as fetch does.

import { connect } from "node:net";
import { EgressGuard } from "../../../src/net/egress/egress-guard.ts";
import { DEFAULT_EGRESS, type EgressPolicy } from "../../../src/net/egress/egress-policy.ts";
import { parseForwardRule } from "../../../src/net/proxy/forward-rules.ts";
import { DEFAULT_REGISTRY_RULES } from "../../../src/net/registry/upstream-choice.ts";
import { readProxyCa } from "../../../src/roles/ca/proxy-ca.ts";
import type { ForwardCounts } from "../../../src/roles/proxy/forward-counts.ts";
import { type ForwardOptions, NO_FORWARDING } from "../../../src/roles/proxy/forward-options.ts";
import { startProxyPort } from "../../../src/roles/proxy/proxy-port.ts";
import { type Cleanups, peerFixture } from "../peer-fixture.ts";

export interface ForwardFixture {
  readonly port: number;
  /** "http://127.0.0.1:PORT" */
  readonly url: string;
  readonly warnings: readonly string[];
  readonly forwards: Readonly<ForwardCounts>;
  readonly dataDir: string;
  /** The proxy's CA, PEM. */
  readonly ca: () => string;
}

export interface ForwardFixtureOptions extends Partial<Omit<ForwardOptions, "rules">> {
  /** @defaultValue 127.0.0.1 */
  hostname?: string;
  /** As in --proxy-rule. */
  rules?: readonly string[];
  policy?: Partial<EgressPolicy>;
  /** "host:port" each. @defaultValue none: the peer reads sources itself */
  supernodes?: readonly string[];
  /** PEM of the CA that sources have their certificates from. */
  sourceCa?: string;
}

export async function forwardFixture(
  cleanups: Cleanups,
  {
    hostname = "127.0.0.1",
    rules = [],
    policy = {},
    supernodes = [],
    sourceCa,
    ...forward
  }: ForwardFixtureOptions = {},
): Promise<ForwardFixture> {
  const { peer, warnings, folder } = await peerFixture(cleanups, {
    sourceCa,
    supernodes: [...supernodes],
  });
  const egress = new EgressGuard({
    policy: { ...DEFAULT_EGRESS, reach: "host", ca: sourceCa ?? null, ...policy },
    ...{ connectionsMax: 64, waitingMax: 64 },
  });
  const dataDir = `${folder}/data`;
  const proxy = await startProxyPort({
    listen: { hostname, port: 0 },
    isDefault: false,
    registries: DEFAULT_REGISTRY_RULES,
    forward: { ...NO_FORWARDING, ...forward, rules: rules.map((text) => parseForwardRule(text)!) },
    ...{ local: peer.local, egress, dataDir },
    onWarning: (message) => warnings.push(message),
  });
  cleanups.defer(() => proxy.stop());
  const port = Number(proxy.address.slice(proxy.address.lastIndexOf(":") + 1));
  egress.become({
    ...egress.policy,
    listeners: [...egress.policy.listeners, { hostname: "127.0.0.1", port }],
  });
  return {
    ...{ port, url: `http://127.0.0.1:${port}`, warnings, dataDir },
    forwards: proxy.forwards,
    ca: () => readProxyCa(dataDir)!.certificate,
  };
}

/** Everything that comes back for these bytes until the other end closes, or for a second. */
export function answerTo(port: number, text: string, silenceMs = 1_000): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    socket.setTimeout(silenceMs, () => socket.destroy());
    socket.on("data", (data) => (answer += data.toString("latin1")));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(answer));
  });
}

export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
}
