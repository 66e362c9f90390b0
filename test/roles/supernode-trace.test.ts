// DRAGONFLY_TRACE: what the scheduler of a real `df supernode` did, done again from the file alone.

import { afterEach, expect, test } from "bun:test";
import { Prng } from "../../src/engine/core/prng.ts";
import { Scheduler } from "../../src/engine/core/scheduler.ts";
import { replay } from "../../src/engine/core/trace.ts";
import {
  Cleanups,
  eventOf,
  eventsOf,
  peerFixture,
  randomBytes,
  sourceFixture,
  tempFolder,
} from "./peer-fixture.ts";

const never = new AbortController().signal;
const cleanups = new Cleanups();
afterEach(() => cleanups.run());

/** The process, and the address that its first log line tells. */
async function startSupernode(folder: string, env: Record<string, string>) {
  const main = new URL("../../src/main.ts", import.meta.url).pathname;
  const flags = ["--listen", "127.0.0.1:0", "--data-dir", `${folder}/supernode`];
  const child = Bun.spawn([process.execPath, main, "supernode", ...flags], {
    env: { ...process.env, ...env },
    stderr: "pipe",
  });
  cleanups.defer(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  let log = "";
  for await (const chunk of child.stderr) {
    log += Buffer.from(chunk).toString();
    const address = /ready on (\S+),/.exec(log)?.[1];
    if (address !== undefined) return { child, address };
  }
  throw new Error(`the supernode did not start: ${log}`);
}

test("a trace that a running supernode wrote replays to the same decisions", async () => {
  const folder = await tempFolder(cleanups);
  const tracePath = `${folder}/trace`;
  const { child, address } = await startSupernode(folder, { DRAGONFLY_TRACE: tracePath });
  const source = sourceFixture(cleanups, randomBytes(8 << 20));
  for (let peers = 0; peers < 3; peers++) {
    const { client } = await peerFixture(cleanups, { supernodes: [address] });
    const events = await eventsOf(client.download({ url: source.url }, never));
    expect(eventOf(events, "done").length).toBe(8 << 20);
  }

  child.kill("SIGTERM");
  await child.exited;

  const [head, ...lines] = (await Bun.file(tracePath).text()).trimEnd().split("\n");
  const { seed } = JSON.parse(head!) as { seed: number };
  expect(lines.filter((line) => line.includes('"pulled"')).length).toBeGreaterThan(50);
  expect(replay(new Scheduler({ prng: new Prng(seed) }), lines)).toBeNull();
  // Another seed decides otherwise: the replay does look at what was decided.
  expect(replay(new Scheduler({ prng: new Prng(seed + 1) }), lines)).not.toBeNull();
}, 60_000);
