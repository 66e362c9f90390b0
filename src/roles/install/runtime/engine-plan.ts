// What is to be done for one container engine, before anything is done: whole files, and what the
// operator is told.

import { DfError } from "../../../errors.ts";
import type { InstalledFile } from "../installation.ts";

export type EngineName = "docker" | "containerd" | "podman" | "crio";

/** Where engines are led. */
export interface RuntimeTarget {
  /** "host:port" of the relay or the peer, on loopback. */
  address: string;
  /** "host[:port]" each, where an engine's settings must name registries; empty: as it was, else docker.io. */
  registries: readonly string[];
  /** As a proxy for all that the engine does, instead of a mirror. */
  isProxy: boolean;
  /** PEM of the CA by which the proxy opens TLS; null: it opens none. */
  ca: string | null;
}

export interface EnginePlan {
  /** Files that it needs, with all that they will hold; one that is so already is only recorded. */
  files: readonly InstalledFile[];
  /** What makes a running engine read them; empty: it reads them at each pull. */
  reload: readonly (readonly string[])[];
  /** What the operator should know, a sentence each. */
  notes: readonly string[];
  /** Has the engine itself read the new settings. @throws {DfError} conflict */
  check?: () => void;
}

/** That a file cannot be edited safely, and what belongs into it. */
export function refuseEdit(path: string, why: string, byHand: string): DfError {
  return new DfError("conflict", `edit ${path}: ${why}`, {
    hint: `add it by hand:\n${byHand.trimEnd()}`,
  });
}
