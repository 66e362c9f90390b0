// The settings file that `df install systemd ROLE --set KEY=VALUE` writes.

import { expect, test } from "bun:test";
import { SERVICE_ROLES } from "../../../src/roles/install/service-role.ts";
import { settingsText } from "../../../src/roles/install/settings-text.ts";

const peer = SERVICE_ROLES.find(({ name }) => name === "peer")!;

test("settings become lines of YAML below the hints", async () => {
  const given = ["listen=0.0.0.0:65002", "open=true"];
  const text = settingsText(peer, { given, flags: await peer.flags() });

  expect(text).toEndWith("\nlisten: 0.0.0.0:65002\nopen: true\n");
});

// They were written, and the service failed at each of its starts.
test.each([
  ["lisen=0.0.0.0:65002", "unknown key lisen"],
  ["open=perhaps", "open is a switch"],
  ["quota", "read --set quota"],
])("what the service would refuse is refused at once: %s", async (setting, words) => {
  const flags = await peer.flags();

  expect(() => settingsText(peer, { given: [setting], flags })).toThrow(words);
});

test("each role's hints are settings that it takes", async () => {
  for (const role of SERVICE_ROLES) {
    const given = role.settingsHints.map((hint) => hint.replace(": ", "="));
    expect(() => settingsText(role, { given, flags: [] })).toThrow("unknown key");
    const text = settingsText(role, { given, flags: await role.flags() });
    expect(text).toContain(role.settingsHints[0]!);
  }
});

// A proxy's hosts that were set later took the address and the registries away that were set at first.
test("what is set later leaves the rest of the file as it was, with its comments", async () => {
  const flags = await peer.flags();
  const before = [
    "# Ours.",
    "listen: 10.0.0.7:65002 # in the rack",
    "proxy-rule:",
    "  - files.lan/*.iso=swarm",
    "  - other.lan/*=swarm",
    "# Disks are small here.",
    "quota: 200G",
    "",
  ].join("\n");

  const added = settingsText(peer, { given: ["open=true"], flags, before });
  const replaced = settingsText(peer, {
    ...{ given: ["proxy-rule=a.lan/*=swarm", "proxy-rule=b.lan/*=swarm"], flags, before },
  });

  expect(added).toBe(`${before}open: true\n`);
  expect(replaced).toBe(
    [
      "# Ours.",
      "listen: 10.0.0.7:65002 # in the rack",
      "# Disks are small here.",
      "quota: 200G",
      'proxy-rule: ["a.lan/*=swarm", "b.lan/*=swarm"]',
      "",
    ].join("\n"),
  );
});

test("a file that is not written one key a line is left to its operator", async () => {
  const flags = await peer.flags();

  const set = () =>
    settingsText(peer, {
      given: ["quota=1G"],
      flags,
      before: "{ listen: 10.0.0.7:65002, quota: 2G }\n",
    });

  expect(set).toThrow("set quota in /etc/dragonfly/peer.yaml");
});
