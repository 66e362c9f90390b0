// `df up`: a whole fleet in one process, on loopback: config service, supernode and peer, joined to
// each other as they would be on three machines. Ports that are taken are replaced by free ones.

import { join } from "node:path";
import { type CommandDef, defineCommand } from "citty";
import { ANSWER_GRACE_MS, CONFIG_PORT, PIECE_PORT, SUPERNODE_PORT } from "../../limits.ts";
import { readSourceCa, SOURCE_CA_FLAG } from "../command-line/egress-flags.ts";
import { flagTexts } from "../command-line/flag-texts.ts";
import type { Flag, ParsedFlags } from "../command-line/flags.ts";
import { defaultSocket } from "../peer/peer-options.ts";
import { PROXY_FLAGS, readProxyOptions } from "../proxy/proxy-options.ts";
import { defaultFleetDir } from "../config/config-dir.ts";
import { parseRate } from "../command-line/quantities.ts";
import { SystemdNotifier } from "../service/notify-systemd.ts";
import { createServiceLog } from "../service/service-log.ts";
import { untilStopped } from "../service/until-stopped.ts";
import { freePort } from "./free-port.ts";
import { startFleet } from "./start-fleet.ts";

export const FLAGS: readonly Flag[] = [
  { name: "data-dir", value: "DIR", help: "where all of it is kept (~/.local/share/dragonfly/up)" },
  { name: "socket", value: "PATH", help: "local API of its peer (where df get looks for one)" },
  { name: "upload-rate", value: "RATE", help: "bytes per second its supernode gives to all peers" },
  SOURCE_CA_FLAG,
  ...PROXY_FLAGS,
  { name: "json", help: "log as JSON, one object per line" },
  { name: "verbose", aliases: ["v"], help: "log more" },
];

const command: CommandDef = defineCommand({
  meta: { name: "up", description: "Run a whole fleet on this host." },
  run: ({ data }) => runFleet(data as ParsedFlags),
});
export default command;

async function runFleet(flags: ParsedFlags): Promise<void> {
  const log = createServiceLog({
    component: "up",
    isJson: flags.values.has("json"),
    level: flags.values.has("verbose") ? "debug" : "info",
  });
  const dataDir = flags.values.get("data-dir")?.at(-1) ?? defaultFleetDir();
  const socketPath =
    flags.values.get("socket")?.at(-1) ?? defaultSocket(process.env, process.getuid?.() ?? -1);
  const uploadRate = flags.values.get("upload-rate")?.at(-1);
  const sourceCa = flags.values.get("source-ca")?.at(-1);
  const fleet = await startFleet({
    dataDir,
    socketPath,
    configPort: await freePort(CONFIG_PORT, 1),
    // Its pieces are on the port after.
    supernodePort: await freePort(SUPERNODE_PORT, 2),
    peerPort: await freePort(PIECE_PORT, 1),
    uploadRate: uploadRate === undefined ? undefined : parseRate("--upload-rate", uploadRate),
    sourceCa: sourceCa === undefined ? undefined : readSourceCa("--source-ca", sourceCa),
    proxy: readProxyOptions(flagTexts(FLAGS, flags, process.env)),
    onWarning: (message) => log.warn(message),
    onNotice: (message) => log.debug(message),
  });
  const proxy = fleet.proxy === null ? "" : `, registry mirror and proxy ${fleet.proxy}`;
  const status = `config service http://${fleet.config}, supernode ${fleet.supernode}, peer ${socketPath}${proxy}`;
  log.info(`ready: ${status}`);
  log.info(`API and its description: http://${fleet.config}/docs`);
  log.info(`admin token and join line: ${join(dataDir, "config")}`);
  log.info("try: df get URL");
  await untilStopped({ log, systemd: new SystemdNotifier(process.env), status });
  await fleet.stop(ANSWER_GRACE_MS);
}
