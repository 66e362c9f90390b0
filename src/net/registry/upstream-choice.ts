// Which registry a request on the mirror's port is meant for, and where that is reached.

/** What the operator says of registries. */
export interface RegistryRules {
  /** "host[:port]" of the registry that is meant where a request names none. */
  readonly defaultRegistry: string;
  /** Patterns (url-pattern.ts) of those that may be asked; empty: every one. */
  readonly allow: readonly string[];
  /** Where a registry is reached, by "host[:port]": an origin, "https://mirror.example:5000". */
  readonly upstreams: Readonly<Record<string, string>>;
}

export const DEFAULT_REGISTRY_RULES: RegistryRules = {
  defaultRegistry: "docker.io",
  allow: [],
  upstreams: {},
};
