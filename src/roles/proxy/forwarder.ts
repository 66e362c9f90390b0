// What requests get that go through the port to somewhere else: the swarm where a rule says so, a registry's
// own handler where its pull API is asked, else their target. Rules look at the URL that was named.
//
//   URL ─▶ rules ─┬ swarm, GET of a whole ─▶ download of this peer ─▶ answerContent
//                 ├ /v2/… of a registry  ─▶ registry handler
//                 └ else                 ─▶ forwardRequest

import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { type ErrorCode, isDfError } from "../../errors.ts";
import type { EgressGuard } from "../../net/egress/egress-guard.ts";
import type { Outlet } from "../../net/egress/outlet.ts";
import type { LocalApi } from "../../net/local/local-server.ts";
import { forwardRequest } from "../../net/proxy/forward-request.ts";
import { chooseWay, type ForwardRule } from "../../net/proxy/forward-rules.ts";
import { forwardUpgrade } from "../../net/proxy/forward-upgrade.ts";
import type { ProxiedRequest, ProxyHandler } from "../../net/proxy/proxied-request.ts";
import type { UpgradeHandler } from "../../net/proxy/proxy-front.ts";
import { parseOciPath } from "../../net/registry/oci-path.ts";
import { type ForwardCounts, noForwards } from "./forward-counts.ts";
import { answerFromSwarm, isForSwarm } from "./forwarded-content.ts";
import { redactUrl } from "../../net/task-request.ts";
import { RuleNotices } from "./rule-notices.ts";
import type { RegistryMirror } from "./registry-mirror.ts";

export interface ForwarderOptions {
  rules: readonly ForwardRule[];
  local: LocalApi;
  /** Through here goes what the swarm does not bring. */
  egress: EgressGuard;
  /** This proxy's name in Via. */
  via: string;
  /** Answers what registries are asked by their own names. */
  registries: Pick<RegistryMirror, "handleAt">;
  onWarning: (message: string) => void;
  /** Hears what came of each request that a rule gives to the swarm. */
  onNotice?: ((message: string) => void) | undefined;
}

export class Forwarder {
  readonly counts = noForwards();
  readonly #options: ForwarderOptions;
  readonly #notices = new RuleNotices();
  /** Of each client's connection: another client's credentials may differ. */
  readonly #outlets = new WeakMap<Duplex, Outlet>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  readonly handle: ProxyHandler = async (request, response) => {
    const { rules, registries } = this.#options;
    const { way, url } = chooseWay(request.url, rules);
    const asked = { ...request, url };
    if (way !== "direct" && isPull(asked)) return registries.handleAt(asked, response);
    let result: keyof ForwardCounts = "failed";
    try {
      result = await this.#answer(request, response, { way, url });
    } finally {
      this.counts[result]++;
      if (way === "swarm") {
        this.#options.onNotice?.(`${request.message.method} ${redactUrl(url.href)}: ${result}`);
      }
    }
  };

  readonly upgrade: UpgradeHandler = (request, socket, head) => {
    const { url } = chooseWay(request.url, this.#options.rules);
    const outlet = this.#outletOf(socket);
    return forwardUpgrade(request, socket, head, { outlet, url, via: this.#options.via });
  };

  async #answer(
    request: ProxiedRequest,
    response: ServerResponse,
    { way, url }: ReturnType<typeof chooseWay>,
  ): Promise<Exclude<keyof ForwardCounts, "failed">> {
    const { local, via, onWarning } = this.#options;
    const onNotice = (notice: string): void => {
      const line = this.#notices.tell(url, notice);
      if (line !== null) onWarning(line);
    };
    const asked = { ...request, url };
    if (way === "swarm" && isForSwarm(request)) {
      const isAnswered = await answerFromSwarm(asked, response, { local, via, onNotice }).catch(
        (error: unknown) => {
          if (response.headersSent || !isForTarget(error)) throw error;
          return false;
        },
      );
      if (isAnswered) return "swarm";
    }
    await this.#forward(request, response, url);
    return way === "swarm" ? "missed" : "target";
  }

  async #forward(request: ProxiedRequest, response: ServerResponse, url: URL): Promise<void> {
    const outlet = this.#outletOf(request.message.socket);
    await forwardRequest(request, response, { outlet, url, via: this.#options.via });
  }

  #outletOf(socket: Duplex): Outlet {
    const known = this.#outlets.get(socket);
    if (known !== undefined) return known;
    const outlet = this.#options.egress.outlet({ ca: null, isInsecure: false });
    this.#outlets.set(socket, outlet);
    socket.once("close", () => outlet.close());
    return outlet;
  }
}

/**
 * Whether the target itself can say more: the request is its sender's own affair, or not answered without
 * credentials, for which it has a challenge. What is missing, or out of order, is so for everybody.
 */
function isForTarget(error: unknown): boolean {
  const codes: readonly ErrorCode[] = [
    ...(["not-shareable", "source-unauthorized", "source-forbidden"] as const),
    ...(["no-supernode", "unavailable", "no-space", "internal"] as const),
  ];
  return isDfError(error) && codes.includes(error.code);
}

/** Whether it looks like the part of a registry's pull that the swarm answers. */
function isPull({ message, url }: ProxiedRequest): boolean {
  if (message.method !== "GET" && message.method !== "HEAD") return false;
  const path = parseOciPath(url.pathname);
  return path.kind === "path" && ["blob", "manifest", "tag"].includes(path.resource.kind);
}
