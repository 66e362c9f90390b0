// A program that sends text to the relay and collects what comes until the connection ends.

/** Everything that came until the other side closed. */
export async function exchange(port: number, text: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let received = "";
  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    allowHalfOpen: true,
    socket: {
      open: (socket) => void socket.write(Buffer.from(text, "latin1")),
      data: (_socket, bytes) => void (received += bytes.toString("latin1")),
      end: (socket) => void socket.end(),
      close: () => resolve(received),
      error: (_socket, error) => reject(error),
    },
  });
  return promise;
}

/** A connection that stays open until the test ends it. */
export async function openConnection(port: number) {
  let received = "";
  let arrived = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    allowHalfOpen: true,
    socket: {
      data: (_socket, bytes) => {
        received += bytes.toString("latin1");
        arrived.resolve();
        arrived = Promise.withResolvers();
      },
      end: (socket) => void socket.end(),
      close: () => closed.resolve(),
    },
  });
  return {
    socket,
    closed: closed.promise,
    async until(text: string): Promise<string> {
      while (!received.includes(text)) await arrived.promise;
      return received;
    },
  };
}
