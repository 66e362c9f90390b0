// The command `df relay`: flags, log lines and the wait for the end. Loads little, for it runs beside a
// peer all the time: no HTTP server, no schemas, no database, and not the logger of other roles, nor the
// C library, which take 14 and 8 MB.

import { type CommandDef, defineCommand } from "citty";
import { ANSWER_GRACE_MS, PROXY_PORT } from "../../limits.ts";
import { flagTexts } from "../command-line/flag-texts.ts";
import type { Flag, ParsedFlags } from "../command-line/flags.ts";
import { NO_FORWARDING } from "../proxy/forward-options.ts";
import { PROXY_FLAGS, readProxyOptions } from "../proxy/proxy-options.ts";
import { tunnelPortsOf } from "../proxy/tunnel-ports.ts";
import { type LogLevel, logLine } from "../service/log-line.ts";
import { surviveFaults } from "../service/survive-faults.ts";
import { parseLoopbackAddress } from "../command-line/listen-address.ts";
import { Relay } from "./relay.ts";

const PEER_SOCKET = "/run/dragonfly/proxy.sock";
const DEFAULT_LISTEN = `127.0.0.1:${PROXY_PORT}`;
const NOT_FOR_OTHERS =
  "the relay serves this host alone; for others df peer --proxy-listen asks who they are";

/** The peer's own flags and variables: what its proxy leads to is what the relay leads to. */
const SHARED_NAMES = [
  ...["proxy-allow", "proxy-intercept"],
  ...["registry-default", "registry-allow", "registry-upstream"],
];
const SHARED_FLAGS = PROXY_FLAGS.filter(({ name }) => SHARED_NAMES.includes(name));

export const FLAGS: readonly Flag[] = [
  {
    name: "listen",
    variable: "DRAGONFLY_RELAY_LISTEN",
    value: "HOST:PORT",
    help: `what engines know (default ${DEFAULT_LISTEN}; DRAGONFLY_RELAY_LISTEN)`,
  },
  {
    name: "socket",
    variable: "DRAGONFLY_RELAY_SOCKET",
    value: "PATH",
    help: `df peer --proxy-listen unix:PATH (default ${PEER_SOCKET}; DRAGONFLY_RELAY_SOCKET)`,
  },
  ...SHARED_FLAGS,
  { name: "json", variable: "DRAGONFLY_RELAY_JSON", help: "log as JSON, one object per line" },
];

const command: CommandDef = defineCommand({
  meta: { name: "relay", description: "Own the engines' port, with and without the peer." },
  run: ({ data }) => runRelay(data as ParsedFlags),
});
export default command;

async function runRelay(parsed: ParsedFlags): Promise<void> {
  const texts = flagTexts(FLAGS, parsed, process.env);
  const text = (name: string): string | undefined => texts(name).at(-1);
  const isJson = ["true", "1"].includes(text("json") ?? "");
  const log = (level: LogLevel, message: string): void => {
    console.error(logLine({ at: new Date(), level, component: "relay", message }, isJson));
  };
  surviveFaults((message) => log("error", message));
  const peerSocket = text("socket") ?? PEER_SOCKET;
  const { forward = NO_FORWARDING, registries } = readProxyOptions((name) =>
    SHARED_NAMES.includes(name) ? texts(name) : [],
  )!;
  const relay = new Relay({
    listen: parseLoopbackAddress("--listen", text("listen") ?? DEFAULT_LISTEN, NOT_FOR_OTHERS),
    peerSocket,
    access: {
      ...{ credentials: null, allow: forward.allow },
      tunnelPorts: tunnelPortsOf(forward, registries),
    },
    onPeer: (state) => {
      if (state === null) log("info", `connections go to the peer on ${peerSocket}`);
      else log("warning", `connections go past the peer on ${peerSocket}: ${state}`);
    },
  });
  log("info", `ready on ${relay.address}, for the peer on ${peerSocket}`);
  log("info", `stopping: ${await endSignal()}`);
  // A second one does not wait for what is under way.
  void endSignal().then((signal) => process.exit(signal === "SIGINT" ? 130 : 143));
  const finished = relay.finish(AbortSignal.timeout(ANSWER_GRACE_MS));
  if (relay.connections > 0) {
    const span = `${ANSWER_GRACE_MS / 1_000} s at most`;
    log("info", `connections get to their end, ${relay.connections}, ${span}`);
  }
  await finished;
  relay.stop();
}

/** The signal that ends the relay; SIGHUP, which means "read settings again", ends nothing. */
function endSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => resolve(signal));
  process.on("SIGHUP", () => {
    if (process.stderr.isTTY) resolve("SIGHUP");
  });
  return promise;
}
