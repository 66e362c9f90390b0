// How a path on the mirror's port names its registry: a first part that looks like a host.

import { expect, test } from "bun:test";
import {
  parseOciPath,
  prefixOfRegistry,
  registryOfPrefix,
} from "../../../src/net/registry/oci-path.ts";

test.each(["quay.io", "registry.example:5000", "localhost:5000", "127.0.0.1:40123", "localhost"])(
  "%s is found in a path in the form that every engine takes",
  (registry) => {
    const path = parseOciPath(`/v2/${prefixOfRegistry(registry)}/team/app/manifests/latest`);

    if (path.kind !== "path" || path.prefix === null) throw new Error("no registry was found");
    expect(path.prefix).not.toContain(":");
    expect(registryOfPrefix(path.prefix)).toBe(registry);
    expect(path.name).toBe("team/app");
  },
);

test("a registry's port may also stand behind a colon", () => {
  const path = parseOciPath("/v2/registry.example:5000/team/app/manifests/latest");

  expect(path).toMatchObject({ prefix: "registry.example:5000", name: "team/app" });
  expect(registryOfPrefix("registry.example:5000")).toBe("registry.example:5000");
});

test.each(["team_2/app", "localhosts/app", "a.b_c/app", "a.b_123456/app"])(
  "%s is a repository's name and no registry",
  (name) => {
    expect(parseOciPath(`/v2/${name}/manifests/latest`)).toMatchObject({ prefix: null, name });
  },
);
