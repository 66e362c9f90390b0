// What the proxy's port is told when it starts.

import type { RegistryRules } from "../../net/registry/upstream-choice.ts";

export interface ProxyOptions {
  listen: { hostname: string; port: number };
  /** Nobody named the port: where it is taken, the peer goes on without it. */
  isDefault: boolean;
  registries: RegistryRules;
}
