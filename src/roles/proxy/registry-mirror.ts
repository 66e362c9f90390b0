// Answers the pull API of container registries (OCI distribution specification) for engines of this host.

import type { EgressGuard } from "../../net/egress/egress-guard.ts";
import type { LocalApi } from "../../net/local/local-server.ts";
import type { ProxyHandler } from "../../net/proxy/proxied-request.ts";
import type { RegistryRules } from "../../net/registry/upstream-choice.ts";

export interface RegistryMirrorOptions {
  local: LocalApi;
  egress: EgressGuard;
  registries: RegistryRules;
}

export function registryMirror(_options: RegistryMirrorOptions): ProxyHandler {
  return async (_request, response) => {
    response.writeHead(404, { "content-type": "application/json" });
    response.end(JSON.stringify({ errors: [{ code: "UNSUPPORTED", message: "no such path" }] }));
  };
}
