// A port of loopback that nobody has.

/** The preferred port if it and the `count` − 1 after it are free, else others that are. */
export async function freePort(preferred: number, count: number): Promise<number> {
  for (let port = preferred; ; port = randomPort()) {
    const ports = Array.from({ length: count }, (_, i) => port + i);
    if (ports.every(isFree)) return port;
  }
}

function isFree(port: number): boolean {
  try {
    const listener = Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } });
    listener.stop(true);
    return true;
  } catch {
    return false;
  }
}

/** Of those that the system does not give out by itself (from 32,768 on). */
function randomPort(): number {
  return 20_000 + Math.floor(Math.random() * 12_000);
}
