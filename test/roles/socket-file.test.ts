// Making way for the socket of a peer: what a dead one left goes, what is anybody's else stays.

import { afterEach, expect, test } from "bun:test";
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { clearSocket } from "../../src/roles/peer/socket-file.ts";
import { Cleanups, tempFolder } from "./peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

test("T-15: a path that is no socket is refused, and what is there stays", async () => {
  const folder = await tempFolder(cleanups);
  const [file, link] = [`${folder}/file`, `${folder}/link`];
  writeFileSync(file, "mine");
  symlinkSync(file, link);

  for (const path of [file, link, folder]) {
    await expect(clearSocket(path, "--proxy-listen")).rejects.toMatchObject({ code: "usage" });
  }

  expect(readFileSync(link, "utf8")).toBe("mine");
});

test("the socket of a living peer is refused, that of a dead one makes way", async () => {
  const path = `${await tempFolder(cleanups)}/peer.sock`;
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(path, resolve));

  await expect(clearSocket(path)).rejects.toMatchObject({ code: "usage" });
  await new Promise((resolve) => server.close(resolve));
  const child = Bun.spawnSync([
    process.execPath,
    ...[
      "-e",
      `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`,
    ],
  ]);
  expect(child.signalCode).toBe("SIGKILL");
  expect(existsSync(path)).toBe(true);
  await clearSocket(path);

  expect(existsSync(path)).toBe(false);
});
