// Where a registry's password may go: T-37.

import { expect, test } from "bun:test";
import { mayHearPassword } from "../../../src/net/registry/realm-trust.ts";

test.each([
  ["https://harbor.example", "https://harbor.example/service/token", true],
  ["https://harbor.example:8443", "https://harbor.example/service/token", true],
  ["https://registry-1.docker.io", "https://auth.docker.io/token", true],
  ["https://registry.gitlab.com", "https://gitlab.com/jwt/auth", true],
  ["https://harbor.example", "https://auth.harbor.example/token", true],
  ["http://127.0.0.1:5000", "http://127.0.0.1:5001/token", true],
  ["http://[::1]:5000", "http://[::1]:5001/token", true],
  ["https://registry.example.co.uk", "https://auth.example.co.uk/token", true],
  // Elsewhere.
  ["https://harbor.example", "https://evil.example/token", false],
  ["https://harbor.example", "https://xharbor.example/token", false],
  ["https://harbor.example", "https://harbor.example.evil.test/token", false],
  ["https://registry-1.docker.io", "https://auth.docker.io.evil.test/token", false],
  ["https://example.co.uk", "https://evil.co.uk/token", false],
  ["https://registry.de", "https://evil.de/token", false],
  ["https://10.0.0.5", "https://9.0.0.5/token", false],
  ["https://10.0.0.5", "https://0.0.5/token", false],
  // Where others could listen.
  ["https://harbor.example", "http://harbor.example/token", false],
  ["http://registry.team.example", "http://auth.team.example/token", false],
])("T-37: of a registry at %s its password may go to %s: %p", (registry, realm, isTrusted) => {
  expect(mayHearPassword(registry, realm)).toBe(isTrusted);
});
