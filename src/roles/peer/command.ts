// The command `df peer`: flags, signals, log lines and the wait for the end.

import { createWriteStream } from "node:fs";
import { type CommandDef, defineCommand } from "citty";
import { createConsola } from "consola";
import type { ParsedFlags } from "../command-line/flags.ts";
import { readPeerOptions } from "./peer-options.ts";
import { tuneProcess } from "./tuned-process.ts";

export { FLAGS } from "./peer-options.ts";

const command: CommandDef = defineCommand({
  meta: { name: "peer", description: "Download, store and share pieces on this host." },
  run: ({ data }) => runPeer(data as ParsedFlags),
});
export default command;

async function runPeer(parsed: ParsedFlags): Promise<void> {
  tuneProcess();
  const { startPeer } = await import("./start-peer.ts");
  const options = readPeerOptions(parsed, process.env, process.getuid?.() ?? -1);
  // Started by `df get` nobody sees our output: a file beside the data keeps it.
  const isBackground = parsed.values.get("background")?.at(-1) === "true";
  const stream = isBackground
    ? createWriteStream(`${options.dataDir}.log`, { flags: "a", mode: 0o600 })
    : process.stderr;
  const log = createConsola({ stdout: stream as never, stderr: stream as never });

  const ended = Promise.withResolvers<string>();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => ended.resolve(`stopped by ${signal}`));
  }
  const peer = await startPeer({
    ...options,
    onWarning: (message) => log.warn(message),
    onUnused: () => ended.resolve("unused, stopping"),
  });
  const supernodes = options.supernodes.join(", ") || "no supernode: it only reads sources";
  log.info(`peer serves pieces on ${peer.listen}, df get on ${peer.socketPath} (${supernodes})`);
  log.info(await ended.promise);
  await peer.stop();
  process.exit(0);
}
