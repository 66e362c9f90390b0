// A host whose disk fills up while a layer arrives: the engine whose own disk has room gets it nonetheless.
// Needs root, to mount a small file system.

import { afterEach, expect, test } from "bun:test";
import { appendFile, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DISK_MARGIN_BYTES } from "../../../src/store/disk-space.ts";
import { askRaw, mirrorFixture } from "../../fixtures/mirror-fixture.ts";
import { Cleanups, randomBytes, tempFolder } from "../peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

const canMount = process.platform === "linux" && process.getuid?.() === 0;
if (!canMount) console.warn("SKIPPED: the tests of full disks need root");

/** Room for the layer beside what a store leaves free. */
const LAYER = 24 << 20;
const DISK_BYTES = 2 * DISK_MARGIN_BYTES + 2 * LAYER;

async function smallDisk(): Promise<string> {
  const folder = join(await tempFolder(cleanups), "disk");
  await mkdir(folder);
  const options = `size=${DISK_BYTES},mode=700`;
  const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]);
  if (!mounted.success) throw new Error(mounted.stderr.toString());
  cleanups.defer(() => void Bun.spawnSync(["umount", "--lazy", folder]));
  return folder;
}

/** Writes until the disk takes no more. */
async function fillUp(path: string): Promise<void> {
  const some = new Uint8Array(64 << 10);
  for (;;) {
    try {
      await appendFile(path, some);
    } catch {
      return;
    }
  }
}

// What was begun was gone on with for ever: each try broke off where the disk was full.
test.if(canMount)(
  "a layer during which the disk fills up breaks off once, and comes past the swarm then",
  async () => {
    const disk = await smallDisk();
    const { registry, mirror } = await mirrorFixture(cleanups, {
      peer: { dataDir: `${disk}/data` },
    });
    const blob = randomBytes(LAYER);
    const digest = registry.add(blob);
    const url = `${mirror.url}/v2/team/app/blobs/${digest}`;
    const isFull = Promise.withResolvers<void>();
    registry.gate = ({ headers: { range = "bytes=0-" } }) =>
      range.startsWith("bytes=0-") ? undefined : isFull.promise;

    const first = askRaw(url);
    while ((mirror.peer.status().downloads[0]?.doneBytes ?? 0) === 0) await Bun.sleep(20);
    await fillUp(`${disk}/other`);
    isFull.resolve();
    const broken = await first;
    const passed = await askRaw(url);
    await rm(`${disk}/other`);
    const brought = await askRaw(url);

    expect([broken.status, broken.isWhole]).toEqual([200, false]);
    expect([passed.status, passed.isWhole]).toEqual([200, true]);
    expect(passed.body.equals(blob)).toBe(true);
    expect(brought.body.equals(blob)).toBe(true);
    expect(mirror.peer.status().store.contents).toBe(1);
  },
  60_000,
);
