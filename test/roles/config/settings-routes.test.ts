// The routes of the fleet's settings over HTTP shapes and a real database.

import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CredentialCheck } from "../../../src/net/fleet/credential.ts";
import type { SettingsDocument, SettingsHistory } from "../../../src/net/wire/settings-api.ts";
import { Callers } from "../../../src/roles/config/callers.ts";
import { createConfigApp } from "../../../src/roles/config/config-app.ts";
import { SettingsBook } from "../../../src/roles/config/settings/settings-book.ts";
import { settingsResource } from "../../../src/roles/config/settings/settings-routes.ts";
import { createTokenSecret } from "../../../src/roles/config/token-secret.ts";
import { openFleetDatabase } from "../../../src/store/fleet-database/open-fleet-database.ts";
import { insertToken } from "../../../src/store/fleet-database/tokens.ts";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function fixture() {
  const dataDir = mkdtempSync(join(tmpdir(), "df-settings-"));
  cleanups.push(() => rmSync(dataDir, { recursive: true, force: true }));
  const database = await openFleetDatabase({ dataDir, url: null });
  cleanups.push(() => database.close());
  const secret = createTokenSecret("admin");
  await insertToken(database, {
    ...{ id: secret.id, kind: "admin", secretSha256: secret.secretSha256, role: "operator" },
    ...{ cluster: null, usesMax: null, useCount: 0, comment: "", createdBy: null },
    ...{ createdAt: 1, usedAt: null, expiresAt: null, revokedAt: null, joinRole: null },
  } as never);
  const book = new SettingsBook(database);
  const app = createConfigApp({
    ownNames: () => new Set(),
    database,
    callers: new Callers(database, new CredentialCheck("A".repeat(43) + "=")),
    isOpen: false,
    resources: [settingsResource({ database, book })],
    onError: (error) => console.error(error),
  });
  const call = async (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ) => {
    const response = await app.request(`/api/v1/settings${path}`, {
      method,
      headers: {
        authorization: `Bearer ${secret.text}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers of many shapes
    const json = (await response.json()) as Record<string, any>;
    return { status: response.status, etag: response.headers.get("etag"), json };
  };
  return { call, book, database };
}

test("a layer is empty until it is set, and tells the version as its ETag", async () => {
  const { call } = await fixture();

  const empty = await call("GET", "/clusters/eu");
  const set = await call("PATCH", "/clusters/eu", { set: { downloadRate: 5e6 } });
  const read = await call("GET", "/clusters/eu");

  expect(empty).toMatchObject({ etag: '"0"', json: { version: 0, settings: {} } });
  expect(set).toMatchObject({ status: 200, etag: '"1"' });
  expect(read.json).toEqual({ version: 1, layer: "clusters/eu", settings: { downloadRate: 5e6 } });
});

test("a change keeps what it does not name, takes out what it unsets, and null means no limit", async () => {
  const { call } = await fixture();
  await call("PATCH", "/fleet", { set: { downloadRate: 5e6, uploadRate: 6e6, quota: 1e9 } });

  const { json } = await call("PATCH", "/fleet", {
    set: { uploadRate: null },
    unset: ["quota"],
  });

  expect(json["settings"]).toEqual({ downloadRate: 5e6, uploadRate: null });
});

test("replacing a layer names the version it was read at; a change in between is noticed", async () => {
  const { call } = await fixture();
  const { etag } = await call("PATCH", "/fleet", { set: { uploadSlots: 5 } });
  await call("PATCH", "/clusters/eu", { set: { uploadSlots: 6 } });

  const blind = await call("PUT", "/fleet", { uploadSlots: 7 });
  const late = await call("PUT", "/fleet", { uploadSlots: 7 }, { "if-match": etag! });
  const right = await call("PUT", "/fleet", { quota: null }, { "if-match": '"2"' });

  expect(blind).toMatchObject({ status: 400, json: { code: "usage" } });
  expect(blind.json["detail"]).toContain("If-Match");
  expect(late).toMatchObject({ status: 412, json: { code: "outdated" } });
  expect(right).toMatchObject({ status: 200, json: { version: 3, settings: { quota: null } } });
});

test("of many changes at once each gets a version of its own and none is lost", async () => {
  const { call } = await fixture();
  const keys = ["downloadRate", "uploadRate", "diskRate", "sourceRate"];

  await Promise.all(keys.map((key) => call("PATCH", "/fleet", { set: { [key]: 1e6 } })));

  const { json } = await call("GET", "/fleet");
  expect(json["version"]).toBe(4);
  expect(Object.keys(json["settings"]).toSorted()).toEqual(keys.toSorted());
});

test("everything that is wrong with a change is told at once, and nothing is changed", async () => {
  const { call } = await fixture();

  const wrong = await call("PATCH", "/fleet", {
    set: { downloadRate: 1, deny: ["no pattern!"], nonsense: true },
    unset: ["nosuchkey"],
  });

  expect(wrong).toMatchObject({ status: 400, json: { code: "usage" } });
  for (const fault of ["downloadRate", "deny", "nonsense", "unset"])
    expect(wrong.json["detail"]).toContain(fault);
  expect((await call("GET", "/fleet")).json["version"]).toBe(0);
});

test.each([
  ["GET", "/labels/idc", undefined],
  ["PATCH", "/labels/idc%3Deu%2C", { set: {} }],
  ["GET", "/versions/7", undefined],
  ["POST", "/rollback", { version: 3 }],
  ["GET", "/resolved?label=x", undefined],
])("%s %s is refused with a problem", async (method, path, body) => {
  const { call } = await fixture();

  const { status, json } = await call(method, path, body);

  expect([400, 404]).toContain(status);
  expect(json["type"]).toStartWith("urn:df:problem:");
});

test("history tells who changed what, page by page, newest first", async () => {
  const { call } = await fixture();
  for (const uploadSlots of [1, 2, 3])
    await call("PATCH", "/fleet", { set: { uploadSlots }, comment: `to ${uploadSlots}` });
  await call("PATCH", "/labels/rack%3Dr1%2Cidc%3Deu", { set: { downloadRate: null } });

  const first = (await call("GET", "/history?limit=3")).json as SettingsHistory;
  const rest = (await call("GET", `/history?before=${first.next}`)).json as SettingsHistory;

  expect(first.versions.map(({ version }) => version)).toEqual([4, 3, 2]);
  expect(first.versions[0]!.changes).toEqual([
    { layer: "labels/idc=eu,rack=r1", key: "downloadRate", after: null },
  ]);
  expect(first.versions[1]).toMatchObject({
    comment: "to 3",
    changes: [{ layer: "fleet", key: "uploadSlots", before: 2, after: 3 }],
  });
  expect(rest).toMatchObject({ versions: [{ version: 1 }], next: null });
});

test("a roll-back makes every layer as it was a new version, and says so", async () => {
  const { call } = await fixture();
  await call("PATCH", "/fleet", { set: { uploadSlots: 1 } });
  await call("PATCH", "/clusters/eu", { set: { uploadSlots: 2 } });
  await call("PATCH", "/fleet", { set: { deny: ["a.org"] }, unset: ["uploadSlots"] });

  const back = await call("POST", "/rollback", { version: 1 });
  const again = await call("POST", "/rollback", { version: 1 });

  expect(back.json as SettingsDocument).toEqual({
    ...{ version: 4, fleet: { uploadSlots: 1 }, clusters: {}, labels: [] },
  });
  expect(again.json["version"]).toBe(4);
  const { json } = await call("GET", "/diff?from=1");
  expect(json).toEqual({ from: 1, to: 4, changes: [] });
  expect((await call("GET", "/history?limit=1")).json["versions"][0].comment).toContain(
    "version 1",
  );
});

test("what counts for a machine is told with the layer that says so", async () => {
  const { call } = await fixture();
  await call("PATCH", "/fleet", { set: { uploadSlots: 1, quota: 1e9 } });
  await call("PATCH", "/labels/role%3Dsupernode", { set: { quota: null } });

  const { json } = await call("GET", "/resolved?role=supernode&label=idc%3Deu");

  expect(json["settings"]).toEqual({ uploadSlots: 1, quota: null });
  expect(json["layers"]).toEqual({ uploadSlots: "fleet", quota: "labels/role=supernode" });
});

test("a supernode is told its cluster's layers once for each version, also of another replica", async () => {
  const { call, book, database } = await fixture();
  await call("PATCH", "/clusters/eu", { set: { uploadSlots: 2 } });
  const replica = new SettingsBook(database);

  const told = await replica.layersFor("eu", 0);

  expect(told).toMatchObject({ version: 1, fleet: {}, cluster: { uploadSlots: 2 } });
  expect(await book.layersFor("us", 0)).toMatchObject({ cluster: {} });
  expect(await replica.layersFor("eu", 1)).toBeNull();
});
