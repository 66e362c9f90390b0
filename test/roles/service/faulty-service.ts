// A service that nothing else is wrong with: it has a fault of every kind that nobody catches, says a
// while later that it is still here and what the kernel says of its core dumps, and is then stopped.

import { readFileSync } from "node:fs";
import { DfError } from "../../../src/errors.ts";
import { SystemdNotifier } from "../../../src/roles/service/notify-systemd.ts";
import { createServiceLog } from "../../../src/roles/service/service-log.ts";
import { untilStopped } from "../../../src/roles/service/until-stopped.ts";

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, channels): Response | undefined {
    return channels.upgrade(request, { data: {} }) ? undefined : new Response();
  },
  websocket: {
    data: {},
    // The last fault.
    message() {
      setTimeout(beStopped, 300);
      throw new Error("in a channel");
    },
  },
});

const log = createServiceLog({ component: "faulty", isJson: false, level: "info" });
const ended = untilStopped({ log, systemd: new SystemdNotifier({}), status: "ready" });

setTimeout(() => {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}`);
  socket.addEventListener("open", () => socket.send("x"));
  throw new TypeError('"https://me:s3cret@host" cannot be parsed');
});
void Promise.reject(new DfError("internal", "read the s3venth piece"));
// oxlint-disable-next-line typescript/prefer-promise-reject-errors -- whatever somebody throws
void Promise.reject("s3cret text");
await ended;
process.exit(0);

function beStopped(): void {
  const limits = readFileSync("/proc/self/limits", "utf8");
  console.log(/^Max core file size.*$/m.exec(limits)?.[0]);
  console.log("still here");
  process.kill(process.pid, "SIGTERM");
}
