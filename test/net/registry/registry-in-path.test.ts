// What a path of the pull API begins with: a registry, or a repository that is called like one.

import { expect, test } from "bun:test";
import { registryInPath } from "../../../src/net/registry/registry-in-path.ts";
import { DEFAULT_REGISTRY_RULES } from "../../../src/net/registry/upstream-choice.ts";

interface Asked {
  prefix?: string | null;
  name?: string;
  ns?: string | null;
  userAgent?: string;
  allow?: string[];
}

function inPath({
  prefix = "my.team",
  name = "app",
  ns = "registry.example",
  userAgent = "skopeo/1.9.3",
  allow = [],
}: Asked): string | null {
  const rules = { ...DEFAULT_REGISTRY_RULES, allow };
  return registryInPath({ prefix, name }, { ns, userAgent }, rules);
}

test("what looks like a host is the registry, also where ns names another one", () => {
  expect(inPath({ ns: null })).toBe("my.team");
  expect(inPath({})).toBe("my.team");
  expect(inPath({ prefix: "my.team_5000" })).toBe("my.team:5000");
  expect(inPath({ prefix: null })).toBeNull();
});

// containerd asked for gcr.io/google.com/project/app got what google.com said of project/app.
test.each([
  "containerd/1.6.20~ds1",
  "containerd/v2.1.0",
  "docker/28.0.1 go/1.23",
  "buildkit/v0.12",
])("%s names the registry with ns alone: the path is all repository", (userAgent) => {
  expect(inPath({ userAgent })).toBeNull();
  expect(inPath({ userAgent, ns: null })).toBe("my.team");
});

test("a registry that path and ns name alike is no part of the repository", () => {
  const userAgent = "containerd/1.6.20";

  expect(inPath({ prefix: "reg.example_5000", ns: "reg.example:5000", userAgent })).toBe(
    "reg.example:5000",
  );
  expect(inPath({ prefix: "docker.io", ns: "registry-1.docker.io", userAgent })).toBe("docker.io");
});

test("T-27: what may not be asked, or is no host, is a part of the name where ns says which registry is meant", () => {
  expect(inPath({ allow: ["registry.example"] })).toBeNull();
  expect(inPath({ allow: ["registry.example"], ns: null })).toBe("my.team");
  expect(inPath({ prefix: "999.1.1.1" })).toBeNull();
  expect(inPath({ allow: ["my.team"] })).toBe("my.team");
});

test("the greeting of a registry has no repository: the path names it", () => {
  expect(inPath({ name: "", userAgent: "containerd/1.6.20" })).toBe("my.team");
});
