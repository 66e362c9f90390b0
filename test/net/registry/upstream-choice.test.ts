// Which registry a request is meant for, and where that is.

import { expect, test } from "bun:test";
import {
  chooseUpstream,
  DEFAULT_REGISTRY_RULES,
  type NamedRegistry,
  type RegistryRules,
} from "../../../src/net/registry/upstream-choice.ts";

function choose(named: Partial<NamedRegistry>, rules: Partial<RegistryRules> = {}) {
  const choice = chooseUpstream(
    { prefix: null, ns: null, header: null, ...named },
    { ...DEFAULT_REGISTRY_RULES, ...rules },
  );
  return choice.kind === "chosen" ? choice.upstream : choice.kind;
}

test("the path counts before ns, ns before the header, the header before the default", () => {
  const all = { prefix: "a.example", ns: "b.example", header: "c.example" };

  expect(choose(all)).toMatchObject({ registry: "a.example", isNamed: true });
  expect(choose({ ...all, prefix: null })).toMatchObject({ registry: "b.example", isNamed: true });
  expect(choose({ header: "c.example" })).toMatchObject({ registry: "c.example", isNamed: true });
  expect(choose({})).toMatchObject({ registry: "docker.io", isNamed: false });
});

test.each(["docker.io", "index.docker.io", "registry-1.docker.io", "https://registry-1.docker.io"])(
  "%s is Docker Hub, whose pull API is at registry-1.docker.io",
  (text) => {
    expect(choose({ header: text })).toEqual({
      registry: "docker.io",
      origin: "https://registry-1.docker.io",
      isNamed: true,
    });
  },
);

test.each([
  ["quay.io", "https://quay.io"],
  ["quay.io:443", "https://quay.io"],
  ["reg.example:5000", "https://reg.example:5000"],
  ["10.0.0.7:5000", "https://10.0.0.7:5000"],
  ["localhost", "http://localhost"],
  ["localhost:5000", "http://localhost:5000"],
  ["127.0.0.9:5000", "http://127.0.0.9:5000"],
  ["[::1]:5000", "http://[::1]:5000"],
  ["127.example", "https://127.example"],
  ["localhost.example", "https://localhost.example"],
])("%s is reached at %s", (ns, origin) => {
  expect(choose({ ns })).toMatchObject({ origin });
});

test("a header that is an origin says by which scheme", () => {
  expect(choose({ header: "http://reg.example:5000" })).toMatchObject({
    registry: "reg.example:5000",
    origin: "http://reg.example:5000",
  });
});

test("the operator's word on where a registry is counts for all its names", () => {
  const upstreams = { "docker.io": "https://mirror.lan:5000", "reg.example": "http://reg.example" };

  expect(choose({}, { upstreams })).toMatchObject({
    registry: "docker.io",
    origin: "https://mirror.lan:5000",
  });
  expect(choose({ header: "https://index.docker.io" }, { upstreams })).toMatchObject({
    origin: "https://mirror.lan:5000",
  });
  expect(choose({ ns: "REG.example" }, { upstreams })).toMatchObject({
    origin: "http://reg.example",
  });
});

test("T-27: only allowed registries are asked, however they are named, the default too", () => {
  const allow = ["quay.io", "*.lan:5000"];

  expect(choose({ ns: "quay.io" }, { allow })).toMatchObject({ registry: "quay.io" });
  expect(choose({ prefix: "reg.lan:5000" }, { allow })).toMatchObject({ registry: "reg.lan:5000" });
  for (const named of [
    { ns: "ghcr.io" },
    { prefix: "ghcr.io" },
    { header: "https://ghcr.io" },
    { prefix: "reg.lan" },
    { ns: "quay.io.evil.example" },
    {},
  ]) {
    expect(choose(named, { allow })).toBe("refused");
  }
});

test.each([
  "",
  "a b",
  "user:password@reg.example",
  "reg.example/path",
  "ftp://reg.example",
  "https://reg.example/path",
  "reg.example:99999",
  "reg.example?x",
  "reg.example#x",
  "-reg.example",
  "999.1.1.1",
])("%p is no registry", (header) => {
  expect(choose({ header })).toBe("malformed");
});
