// The settings file that `df install systemd ROLE --set KEY=VALUE` writes.

import { expect, test } from "bun:test";
import { settingsText } from "../../../src/roles/install/command.ts";
import { SERVICE_ROLES } from "../../../src/roles/install/service-role.ts";

const peer = SERVICE_ROLES.find(({ name }) => name === "peer")!;

test("settings become lines of YAML below the hints", async () => {
  const text = settingsText(peer, ["listen=0.0.0.0:65002", "open=true"], await peer.flags());

  expect(text).toEndWith("\nlisten: 0.0.0.0:65002\nopen: true\n");
});

// They were written, and the service failed at each of its starts.
test.each([
  ["lisen=0.0.0.0:65002", "unknown key lisen"],
  ["open=perhaps", "open is a switch"],
  ["quota", "read --set quota"],
])("what the service would refuse is refused at once: %s", async (setting, words) => {
  const flags = await peer.flags();

  expect(() => settingsText(peer, [setting], flags)).toThrow(words);
});

test("each role's hints are settings that it takes", async () => {
  for (const role of SERVICE_ROLES) {
    const settings = role.settingsHints.map((hint) => hint.replace(": ", "="));
    expect(() => settingsText(role, settings, [])).toThrow("unknown key");
    expect(settingsText(role, settings, await role.flags())).toContain(role.settingsHints[0]!);
  }
});
