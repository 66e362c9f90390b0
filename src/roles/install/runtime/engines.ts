// The container engines that can be led to the swarm: how one is known to be there, and how it is set up.

import { containerRegistriesPlan } from "./container-registries.ts";
import { containerdPlan } from "./containerd.ts";
import { dockerPlan } from "./docker.ts";
import type { EngineName, EnginePlan, RuntimeTarget } from "./engine-plan.ts";
import type { SystemFiles } from "./system-files.ts";

export interface Engine {
  name: EngineName;
  /** Any of them says that the engine is there. */
  programs: readonly string[];
  /** @throws {DfError} conflict, when its settings cannot be edited safely */
  plan: (files: SystemFiles, target: RuntimeTarget) => EnginePlan;
}

export const ENGINES: readonly Engine[] = [
  { name: "docker", programs: ["dockerd"], plan: dockerPlan },
  { name: "containerd", programs: ["containerd"], plan: containerdPlan },
  {
    name: "podman",
    programs: ["podman", "buildah", "skopeo"],
    plan: (files, target) => containerRegistriesPlan(files, target, []),
  },
  {
    name: "crio",
    programs: ["crio"],
    plan: (files, target) =>
      containerRegistriesPlan(files, target, [["systemctl", "reload", "crio"]]),
  },
];

export function installedEngines(files: SystemFiles): Engine[] {
  return ENGINES.filter(({ programs }) =>
    programs.some((program) => files.program(program) !== undefined),
  );
}
