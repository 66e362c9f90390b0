// The port for container engines beside a peer: opened where it is free, and bound to what the peer is told of
// egress.

import type { EgressPolicy } from "../../net/egress/egress-policy.ts";
import type { Listener } from "../../net/egress/own-ports.ts";
import { EgressGuard } from "../../net/egress/egress-guard.ts";
import type { LocalApi } from "../../net/local/local-server.ts";
import { messageOf } from "../../errors.ts";
import { PASSED_CONNECTIONS } from "../../limits.ts";
import { type ForwardCounts, noForwards } from "./forward-counts.ts";
import { type MirrorCounts, noRequests } from "./mirror-counts.ts";
import { isShared, type ProxyOptions } from "./proxy-options.ts";
import { type RunningProxyPort, startProxyPort } from "./proxy-port.ts";

export interface HostProxyOptions {
  /** Null: no port is wanted. */
  proxy: ProxyOptions | null;
  local: LocalApi;
  /** The peer's. */
  dataDir: string;
  /** The peer's own. */
  policy: EgressPolicy;
  onWarning: (message: string) => void;
  /** Hears what came of each request of an engine, and of each that a rule names. */
  onNotice?: ((message: string) => void) | undefined;
}

export class HostProxy {
  readonly #options: HostProxyOptions;
  #guard: EgressGuard | undefined;
  #port: RunningProxyPort | undefined;

  constructor(options: HostProxyOptions) {
    this.#options = options;
  }

  /** @throws {DfError} denied: the port that was named is taken */
  async start(): Promise<void> {
    const { proxy, local, policy, dataDir, onWarning, onNotice } = this.#options;
    if (proxy === null) return;
    this.#guard = new EgressGuard({ policy: this.#policyOf(policy), ...PASSED_CONNECTIONS });
    try {
      this.#port = await startProxyPort({
        ...{ ...proxy, local, egress: this.#guard, dataDir },
        ...{ onWarning, onNotice },
      });
    } catch (error) {
      if (!proxy.isDefault) throw error;
      onWarning(`${messageOf(error)}: going on without; --proxy-listen off says so`);
      return;
    }
    this.become(policy);
  }

  /** Where it is, "host:port" or a socket's path, and what the mirror did; null: it is not open. */
  get status(): ({ listen: string; forwards: ForwardCounts } & MirrorCounts) | null {
    if (this.#port === undefined) return null;
    const { address, counts, forwards } = this.#port;
    const { requests, bytes } = counts;
    return {
      listen: address,
      ...{ requests: { ...requests }, bytes: { ...bytes }, forwards: { ...forwards } },
    };
  }

  get counts(): MirrorCounts {
    return this.#port?.counts ?? noRequests();
  }

  get forwards(): ForwardCounts {
    return this.#port?.forwards ?? noForwards();
  }

  /** Its port, where no source is. */
  get listeners(): readonly Listener[] {
    const { proxy } = this.#options;
    if (this.#port === undefined || proxy === null || "unix" in proxy.listen) return [];
    const { address } = this.#port;
    const port = Number(address.slice(address.lastIndexOf(":") + 1));
    return [{ hostname: proxy.listen.hostname, port }];
  }

  /** What the peer is told of egress counts here too. */
  become(policy: EgressPolicy): void {
    this.#guard?.become(this.#policyOf(policy));
  }

  /** Takes no more engines, and lets the pulls of those that are here end. */
  async finish(graceMs: number): Promise<void> {
    const port = this.#port;
    if (port === undefined) return;
    const bound = AbortSignal.timeout(graceMs);
    const finished = port.finish(bound);
    const { connections } = port;
    if (connections === 0) return;
    const { onWarning } = this.#options;
    const span = `${graceMs / 1_000} s at most`;
    onWarning(`engines get to the end of what they read, ${connections} connections, ${span}`);
    await finished;
    if (port.connections > 0) onWarning(`broke off ${port.connections} connections of engines`);
  }

  async stop(): Promise<void> {
    await this.#port?.stop();
  }

  /** Unless others reach the port, who asks is on this host: what is loopback to him is so to the peer. */
  #policyOf(policy: EgressPolicy): EgressPolicy {
    const { proxy } = this.#options;
    const reach = proxy !== null && isShared(proxy.listen) ? "network" : "host";
    return { ...policy, reach, listeners: [...policy.listeners, ...this.listeners] };
  }
}
