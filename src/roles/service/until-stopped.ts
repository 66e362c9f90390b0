// The life of a service between its start and its end: says that it is ready, reloads on SIGHUP, and
// returns at the signal that ends it. A second signal does not wait for what is under way. No fault that
// nobody caught ends it, and no dump of its memory is left.

import type { ConsolaInstance } from "consola";
import { messageOf } from "../../errors.ts";
import { forbidCoreDumps } from "./forbid-core-dumps.ts";
import type { SystemdNotifier } from "./notify-systemd.ts";
import { surviveFaults } from "./survive-faults.ts";

export interface ServiceLife {
  log: ConsolaInstance;
  systemd: SystemdNotifier;
  /** What systemd shows beside the unit. */
  status: string;
  /** Reads settings again; a failure is logged and changes nothing. @defaultValue nothing is read */
  reload?: () => Promise<void> | void;
  /** Ends the service without a signal. */
  ended?: Promise<string>;
}

export async function untilStopped({
  log,
  systemd,
  status,
  reload,
  ended,
}: ServiceLife): Promise<void> {
  surviveFaults((message) => log.error(message));
  forbidCoreDumps();
  const stopped = Promise.withResolvers<string>();
  void ended?.then(stopped.resolve);
  let isStopping = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      // 128 + the signal's number, as a shell tells it.
      if (isStopping) process.exit(signal === "SIGINT" ? 130 : 143);
      isStopping = true;
      stopped.resolve(`stopping: ${signal}`);
    });
  }
  process.on("SIGHUP", () => {
    // A terminal that closes ends what runs in it; a service without one reads its settings again.
    if (process.stderr.isTTY) return stopped.resolve("stopping: SIGHUP");
    if (reload === undefined) return log.info("settings count from the next start on");
    Promise.resolve()
      .then(reload)
      .then(() => log.info("settings read again"))
      .catch((error: unknown) => log.error(`read settings again: ${messageOf(error)}`));
  });
  systemd.ready(status);
  log.info(await stopped.promise);
  systemd.stopping();
}
