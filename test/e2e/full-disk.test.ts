// A disk that cannot hold a file is one clear error, and other downloads go on. Needs root, to mount
// a small file system.

import { expect, test } from "bun:test";
import { mkdir, readdir } from "node:fs/promises";
import {
  CountingSource,
  randomPayload,
  sha256Hex,
  sha256HexOfFile,
} from "../../bench/harness/counting-source.ts";
import { startPeer } from "../../bench/harness/df-roles.ts";
import { freePortPair } from "../../bench/harness/free-port.ts";
import { run, Session } from "../../bench/harness/session.ts";
import { DISK_MARGIN_BYTES } from "../../src/store/disk-space.ts";
import { getArgs, hasDf, outputIn, runDf, supernodeFixture } from "../fixtures/spawn-df.ts";

/** Twice the margin that a store leaves free. */
const DISK_BYTES = 2 * DISK_MARGIN_BYTES;

const canMount = process.platform === "linux" && process.getuid?.() === 0;
if (!canMount) console.warn("SKIPPED: the full-disk tests need root");

async function mountSmall(session: Session, name: string): Promise<string> {
  const folder = outputIn(session, name);
  await mkdir(folder);
  await run(["mount", "-t", "tmpfs", "-o", `size=${DISK_BYTES},mode=700`, "tmpfs", folder]);
  session.defer(async () => {
    await run(["umount", "--lazy", folder]);
  });
  return folder;
}

test.if(hasDf && canMount)(
  "an output folder that is too small exits 12 and keeps no part",
  async () => {
    await using source = await CountingSource.start({ bytes: randomPayload(DISK_BYTES + 1) });

    await Session.run("e2e", async (session) => {
      const folder = await mountSmall(session, "small");
      const args = ["get", source.url, "-o", `${folder}/output`, "--no-daemon", "--tries", "1"];
      const { exitCode, stderr } = await runDf(session, args);

      expect({ exitCode, stderr }).toMatchObject({ exitCode: 12 });
      expect(stderr).toContain("hint:");
      expect(await readdir(folder)).not.toContain("output");
    });
  },
);

test.if(hasDf && canMount)(
  "T-33: a peer whose disk is too small refuses that file and brings the next",
  async () => {
    const small = randomPayload(1_000_000);
    await using tooBig = await CountingSource.start({ bytes: randomPayload(DISK_BYTES) });
    await using fitting = await CountingSource.start({ bytes: small });

    await Session.run("e2e", async (session) => {
      const supernode = await supernodeFixture(session);
      await mountSmall(session, "peer");
      const listen = `127.0.0.1:${await freePortPair()}`;
      const peer = await startPeer(session, { name: "peer", listen, supernode: supernode.address });
      const refused = await runDf(session, getArgs(tooBig.url, outputIn(session, "big"), peer));
      const output = outputIn(session, "fitting");
      const brought = await runDf(session, getArgs(fitting.url, output, peer));

      expect(refused).toMatchObject({ exitCode: 12 });
      expect(brought).toMatchObject({ exitCode: 0 });
      expect(await sha256HexOfFile(output)).toBe(sha256Hex(small));
      expect(peer.child.exitCode).toBe(null);
    });
  },
);
