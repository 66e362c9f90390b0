// Tells systemd how a service is: ready, reloading, stopping, alive (sd_notify(3)). A datagram to the
// socket that NOTIFY_SOCKET names, by the C library: the runtime has no unix datagrams.

import { FFIType, ptr } from "bun:ffi";
import { openLibc } from "../../libc.ts";

/** `sys/socket.h` of Linux. */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2_000_000;
const MSG_NOSIGNAL = 0x4000;

type Environment = Readonly<Record<string, string | undefined>>;

/** Sends nothing where no one listens: not under systemd, or not on Linux. */
export class SystemdNotifier {
  readonly #address: Uint8Array | null;
  readonly #watchdogMs: number | null;
  #watchdog: ReturnType<typeof setInterval> | undefined;

  constructor(env: Environment) {
    const path = env["NOTIFY_SOCKET"];
    const isSpoken = process.platform === "linux" && path !== undefined && /^[/@]/.test(path);
    this.#address = isSpoken ? socketAddress(path) : null;
    const watchdogUs = Number(env["WATCHDOG_USEC"]);
    this.#watchdogMs = watchdogUs > 0 ? watchdogUs / 1000 : null;
  }

  /** The service answers; from now on its event loop also shows that it turns. */
  ready(status: string): void {
    this.#send(`READY=1\nSTATUS=${status}`);
    if (this.#watchdogMs === null || this.#address === null) return;
    // systemd.service(5) asks for half the interval.
    this.#watchdog ??= setInterval(() => this.#send("WATCHDOG=1"), this.#watchdogMs / 2);
    this.#watchdog.unref();
  }

  stopping(): void {
    clearInterval(this.#watchdog);
    this.#send("STOPPING=1");
  }

  #send(text: string): void {
    const address = this.#address;
    if (address === null) return;
    try {
      const libc = openLibc({
        socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
        sendto: {
          args: [
            ...[FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32],
            ...[FFIType.ptr, FFIType.u32],
          ],
          returns: FFIType.i64,
        },
        close: { args: [FFIType.i32], returns: FFIType.i32 },
      });
      const bytes = new TextEncoder().encode(text);
      const socket = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      if (socket < 0) return;
      libc.sendto(socket, ptr(bytes), bytes.length, MSG_NOSIGNAL, ptr(address), address.length);
      libc.close(socket);
    } catch {
      // A service that cannot report goes on; systemd's own timeouts tell.
    }
  }
}

/** `struct sockaddr_un`; a leading "@" stands for the abstract name space's zero byte. */
function socketAddress(path: string): Uint8Array {
  const name = new TextEncoder().encode(path);
  if (path.startsWith("@")) name[0] = 0;
  const address = new Uint8Array(2 + name.length + (path.startsWith("@") ? 0 : 1));
  address[0] = AF_UNIX;
  address.set(name, 2);
  return address;
}
