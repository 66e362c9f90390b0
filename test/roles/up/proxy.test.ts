// The engines' port of `df up` and `df peer`: where it opens, and what becomes of a peer where it cannot.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { Session, waitUntil } from "../../../bench/harness/session.ts";
import { LocalClient } from "../../../src/net/local-client.ts";
import { askRaw } from "../../fixtures/mirror-fixture.ts";
import { scriptedRegistry } from "../../fixtures/scripted-registry.ts";
import { sourceCertificates } from "../../fixtures/source-certificates.ts";
import { startProcess } from "../../fixtures/start-process.ts";
import { Cleanups, peerFixture, randomBytes } from "../peer-fixture.ts";

const MAIN = join(import.meta.dir, "../../../src/main.ts");

async function proxyOf(socket: string): Promise<string | undefined> {
  const client = new LocalClient(socket);
  let listen: string | undefined;
  await waitUntil("start the peer", async () => {
    const status = await client.status().catch(() => null);
    listen = status?.proxy?.listen;
    return status !== null;
  });
  return listen;
}

test("df up mirrors registries through its own supernode", async () => {
  await Session.run("up-proxy", async (session) => {
    const registry = await scriptedRegistry();
    session.defer(() => registry.stop());
    const blob = randomBytes(1_000_000);
    const digest = registry.add(blob);
    const socket = join(session.folder, "peer.sock");
    startProcess(session, [
      ...[process.execPath, MAIN, "up", "--data-dir", join(session.folder, "up")],
      ...["--socket", socket, "--proxy-listen", "127.0.0.1:0"],
      ...["--registry-upstream", `images.example=${registry.url}`],
    ]);
    const mirror = await proxyOf(socket);

    const answer = await askRaw(`http://${mirror}/v2/images.example/team/app/blobs/${digest}`);

    expect(answer.status).toBe(200);
    expect(answer.headers["oci-namespace"]).toBe("images.example");
    expect(answer.body.equals(blob)).toBe(true);
    expect(registry.bodyBytes).toBe(blob.length);
    const { supernodes } = await new LocalClient(socket).status();
    expect(supernodes).toMatchObject([{ connected: true }]);
  });
}, 60_000);

test("df up reads sources of a private CA with --source-ca", async () => {
  await Session.run("up-source-ca", async (session) => {
    const { ca, right } = await sourceCertificates();
    const caPath = join(session.folder, "ca.pem");
    await Bun.write(caPath, ca);
    const bytes = randomBytes(100_000);
    const source = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0, development: false, tls: right },
      fetch: () => new Response(bytes),
    });
    session.defer(() => source.stop(true));
    const socket = join(session.folder, "peer.sock");
    startProcess(session, [
      ...[process.execPath, MAIN, "up", "--data-dir", join(session.folder, "up")],
      ...["--socket", socket, "--proxy-listen", "off", "--source-ca", caPath],
    ]);
    await proxyOf(socket);
    const output = join(session.folder, "file");

    const url = `https://localhost:${source.port}/file`;
    const { finished } = startProcess(session, [
      ...[process.execPath, MAIN, "get", url, "-o", output, "--socket", socket],
    ]);
    const { exitCode, stderr } = await finished;

    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(Buffer.from(bytes).equals(await readFile(output))).toBe(true);
  });
}, 60_000);

test("a peer goes on without a default port that is taken, and not without one that was named", async () => {
  const cleanups = new Cleanups();
  const taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  try {
    const listen = { hostname: "127.0.0.1", port: taken.port };
    const registries = { defaultRegistry: "docker.io", allow: [], upstreams: {} };

    const { peer, warnings } = await peerFixture(cleanups, {
      proxy: { listen, isDefault: true, registries },
    });
    const named = peerFixture(cleanups, { proxy: { listen, isDefault: false, registries } });

    expect(peer.status().proxy).toBeUndefined();
    expect(warnings.join("\n")).toContain(`listen on 127.0.0.1:${taken.port} for engines`);
    await expect(named).rejects.toMatchObject({ code: "denied" });
  } finally {
    taken.stop(true);
    await cleanups.run();
  }
});
