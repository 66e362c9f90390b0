// The command `df peer`: flags, signals, log lines and the wait for the end.

import { createWriteStream } from "node:fs";
import { type CommandDef, defineCommand } from "citty";
import { ANSWER_GRACE_MS } from "../../limits.ts";
import type { ParsedFlags } from "../command-line/flags.ts";
import { SystemdNotifier } from "../service/notify-systemd.ts";
import { createServiceLog, setLogLevel } from "../service/service-log.ts";
import { untilStopped } from "../service/until-stopped.ts";
import { givenSettings, type PeerCommandOptions, readPeerOptions } from "./peer-options.ts";
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
  const options = optionsOf(parsed);
  // Started by `df get` nobody sees our output: a file beside the data keeps it.
  const isBackground = parsed.values.get("background")?.at(-1) === "true";
  const file = isBackground
    ? createWriteStream(`${options.dataDir}.log`, { flags: "a", mode: 0o600 })
    : null;
  const log = createServiceLog({
    component: "peer",
    isJson: options.isJsonLog,
    level: options.logLevel ?? "info",
    ...(file === null ? {} : { write: (line) => file.write(line) }),
  });

  const unused = Promise.withResolvers<string>();
  const peer = await startPeer({
    ...options,
    otherListeners: options.metricsListen === null ? [] : [options.metricsListen],
    onWarning: (message) => log.warn(message),
    onNotice: (message) => log.debug(message),
    onSettings: ({ logLevel }) => setLogLevel(log, logLevel),
    onUnused: () => unused.resolve("stopping: unused"),
  });
  const monitor =
    options.metricsListen === null
      ? null
      : (await import("../service/serve-health.ts")).serveHealth(
          options.metricsListen,
          await peer.health(),
        );
  const engines = peer.status().proxy?.listen;
  const status = [
    `ready, pieces on ${peer.listen}, df get on ${peer.socketPath}`,
    ...(engines === undefined ? [] : [`registry mirror and proxy on ${engines}`]),
  ].join(", ");
  log.info(monitor === null ? status : `${status}, metrics on ${monitor.address}`);
  const systemd = new SystemdNotifier(process.env);
  const reload = (): void => peer.give(givenSettings(optionsOf(parsed.readAgain?.() ?? parsed)));
  await untilStopped({ log, systemd, status, reload, ended: unused.promise });
  await monitor?.stop();
  await peer.stop(ANSWER_GRACE_MS);
  process.exit(0);
}

function optionsOf(parsed: ParsedFlags): PeerCommandOptions {
  return readPeerOptions(parsed, process.env, process.getuid?.() ?? -1);
}
