// What the flags of the engines' port mean.

import { expect, test } from "bun:test";
import type { DfError } from "../../../src/errors.ts";
import { readPeerOptions } from "../../../src/roles/peer/peer-options.ts";
import { readProxyOptions } from "../../../src/roles/proxy/proxy-options.ts";

function read(given: Record<string, string[]>) {
  return readProxyOptions((name) => given[name] ?? []);
}

function faultOf(given: Record<string, string[]>): DfError {
  try {
    read(given);
  } catch (error) {
    return error as DfError;
  }
  throw new Error("it was read");
}

test("without flags the port is the well-known one and every registry may be asked", () => {
  expect(read({})).toMatchObject({
    listen: { hostname: "127.0.0.1", port: 65_001 },
    isDefault: true,
    registries: { defaultRegistry: "docker.io", allow: [], upstreams: {} },
  });
});

test("a port, a socket or none", () => {
  expect(read({ "proxy-listen": ["127.0.0.1:5001"] })).toMatchObject({
    listen: { hostname: "127.0.0.1", port: 5001 },
    isDefault: false,
  });
  expect(read({ "proxy-listen": ["unix:/run/dragonfly/proxy.sock"] })).toMatchObject({
    listen: { unix: "/run/dragonfly/proxy.sock" },
  });
  expect(read({ "proxy-listen": ["off"] })).toBeNull();
});

test("registries are named once or several times, Docker Hub by any of its names", () => {
  const { registries } = read({
    "registry-default": ["registry.lan:5000"],
    "registry-allow": ["quay.io,*.lan:5000", "docker.io"],
    "registry-upstream": ["index.docker.io=https://mirror.lan", "a.lan:5000=http://a.lan:5000/"],
  })!;

  expect(registries).toEqual({
    defaultRegistry: "registry.lan:5000",
    allow: ["quay.io", "*.lan:5000", "docker.io"],
    upstreams: { "docker.io": "https://mirror.lan", "a.lan:5000": "http://a.lan:5000" },
  });
});

test("everything wrong is told at once, and no password of a URL", () => {
  const error = faultOf({
    "proxy-listen": ["nowhere"],
    "registry-default": ["https://registry.lan"],
    "registry-allow": ["a b"],
    "registry-upstream": ["a.lan=https://user:secret@a.lan"],
  });

  expect(error.code).toBe("usage");
  for (const flag of ["proxy-listen", "registry-default", "registry-allow", "registry-upstream"]) {
    expect(error.message).toContain(`--${flag}`);
  }
  expect(`${error.message}${error.hint}`).not.toContain("secret");
});

test.each([
  "a.lan=ftp://a.lan",
  "a.lan=https://a.lan/path",
  "a.lan",
  "=https://a.lan",
  "a b=http://c",
])("%s is no place of a registry", (text) => {
  expect(faultOf({ "registry-upstream": [text] }).message).toContain("--registry-upstream");
});

test("a peer that df get started has no port for engines, one that runs by itself has", () => {
  const optionsOf = (values: [string, string[]][], env = {}) =>
    readPeerOptions({ values: new Map(values), positionals: [] }, env, 1000).proxy;

  expect(optionsOf([["background", ["true"]]])).toBeNull();
  expect(optionsOf([])).toMatchObject({ isDefault: true });
  expect(optionsOf([], { DRAGONFLY_PROXY_LISTEN: "off" })).toBeNull();
  expect(optionsOf([], { DRAGONFLY_REGISTRY_ALLOW: "quay.io,ghcr.io" })).toMatchObject({
    registries: { allow: ["quay.io", "ghcr.io"] },
  });
});
