// A server's certificate is replaced while it runs: new connections see the new one, open ones go on.

import { expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import {
  RenewableServer,
  type ServerTls,
  serverTlsOf,
} from "../../src/net/tls/renewable-server.ts";
import { type CaKeys, issueCertificate, makeCa } from "../../src/roles/config/certificates.ts";

async function tlsFor(ca: CaKeys, name: string): Promise<ServerTls> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" }).toString("base64");
  const certificate = await issueCertificate(ca, { publicKey: spki, names: [name] });
  return serverTlsOf(privateKey.export({ type: "pkcs8", format: "pem" }), certificate);
}

function echo(port: number, tls: ServerTls | null): Bun.Server<undefined> {
  return Bun.serve({
    ...{ hostname: "127.0.0.1", port, development: false, ...(tls === null ? {} : { tls }) },
    websocket: { message: (socket, text) => void socket.send(text) },
    fetch: (request, server) =>
      server.upgrade(request) ? undefined : new Response(null, { status: 204 }),
  });
}

test("a renewed certificate is shown to new connections, and open channels go on", async () => {
  const ca = await makeCa();
  const server = new RenewableServer(echo, 0, await tlsFor(ca, "old.df"));
  const { port } = server;
  const tlsOf = (serverName: string) => ({ tls: { ca: ca.certificate, serverName } });
  const isShown = (name: string): Promise<boolean> =>
    fetch(`https://127.0.0.1:${port}/`, { ...tlsOf(name), headers: { connection: "close" } }).then(
      ({ ok }) => ok,
      () => false,
    );
  const channel = new WebSocket(`wss://127.0.0.1:${port}/`, tlsOf("old.df"));
  await new Promise((resolve) => {
    channel.onopen = resolve;
  });
  expect([await isShown("old.df"), await isShown("new.df")]).toEqual([true, false]);

  server.renew(await tlsFor(ca, "new.df"));

  expect([await isShown("old.df"), await isShown("new.df")]).toEqual([false, true]);
  expect(server.port).toBe(port);
  const heard = new Promise((resolve) => {
    channel.onmessage = ({ data }) => resolve(data);
  });
  channel.send("still here");
  expect(await heard).toBe("still here");
  await server.stop(true);
  expect(await isShown("new.df")).toBe(false);
});

test("a server with a certificate refuses TLS 1.2", async () => {
  const ca = await makeCa();
  const server = new RenewableServer(echo, 0, await tlsFor(ca, "a.df"));
  const { connect } = await import("node:tls");
  const dial = (maxVersion: "TLSv1.2" | "TLSv1.3"): Promise<string> =>
    new Promise((resolve) => {
      const options = { host: "127.0.0.1", port: server.port, ca: ca.certificate, maxVersion };
      const socket = connect({ ...options, servername: "a.df" }, () => {
        resolve(socket.getProtocol() ?? "");
        socket.destroy();
      });
      socket.on("error", () => resolve("refused"));
      socket.on("close", () => resolve("refused"));
    });

  expect(await dial("TLSv1.2")).toBe("refused");
  expect(await dial("TLSv1.3")).toBe("TLSv1.3");
  await server.stop(true);
});
