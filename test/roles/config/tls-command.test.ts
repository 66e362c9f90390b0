// Administrators' commands and a fleet's roles over TLS, as real processes: what believes whom without
// being told, what must be told, and what a failure says.

import { expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePortPair } from "../../../bench/harness/free-port.ts";
import { Session, waitUntil } from "../../../bench/harness/session.ts";
import { parseJoinString } from "../../../src/net/fleet/join-string.ts";
import { tlsOptionsOf } from "../../../src/net/tls/server-proof.ts";
import { SUPERNODE_TLS_NAME } from "../../../src/net/wire/fleet-api.ts";
import { issueCertificate, makeCa } from "../../../src/roles/config/certificates.ts";
import { configFixture } from "../../fixtures/config-fixture.ts";
import { fleetFixture } from "../../fixtures/fleet-fixture.ts";
import { startProcess } from "../../fixtures/start-process.ts";

const MAIN = join(import.meta.dir, "../../../src/main.ts");

async function df(session: Session, args: string[], env: Record<string, string> = {}) {
  const command = [process.execPath, MAIN, ...args];
  const home = { HOME: session.folder, XDG_STATE_HOME: session.folder };
  const { exitCode, stdout, stderr } = await startProcess(session, command, {
    env: { ...home, ...env },
  }).finished;
  return { exitCode, stdout: new TextDecoder().decode(stdout).trim(), stderr };
}

test("an administrator's command believes a fleet by the CA that lies beside the token, or is named", () =>
  Session.run("tls-command", async (session) => {
    const { url, adminToken, dataDir } = await configFixture(session, { tls: "on" });
    const list = ["token", "list", "--config-service", url];
    const env = { DRAGONFLY_ADMIN_TOKEN: adminToken };
    const ca = join(dataDir, "ca.pem");

    const beside = await df(session, [
      ...list,
      "--admin-token",
      `@${join(dataDir, "admin-token")}`,
    ]);
    const named = await df(session, [...list, "--ca", ca], env);
    const fromEnvironment = await df(session, list, { ...env, DRAGONFLY_CA: ca });
    const unknown = await df(session, list, env);
    const plain = await df(session, [...list.with(3, url.replace("https", "http"))], env);

    expect([beside, named, fromEnvironment].map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
    expect(unknown.exitCode).toBe(5);
    expect(unknown.stderr).toContain("its certificate is not believed");
    expect(unknown.stderr).toContain("hint: copy ca.pem");
    expect(plain.exitCode).toBe(4);
    expect(plain.stderr).toContain("hint: if it speaks TLS, write https://");
  }));

test("a command finds the df config of this machine by itself, wherever it listens", () =>
  Session.run("tls-command", async (session) => {
    // Where `df config` of a user keeps its state if nobody says.
    const isRoot = process.getuid?.() === 0;
    const up = { XDG_DATA_HOME: join(session.folder, "data") };
    const dataDir = join(up.XDG_DATA_HOME, "dragonfly", "up", "config");
    const { url } = await configFixture(session, { tls: "on", dataDir });

    const found = await df(session, ["token", "list"], up);

    // A root user's own service, if there is one, comes first.
    if (!isRoot || found.exitCode === 0) expect(found.stdout).toContain("admin");
    expect(readFileSync(join(dataDir, "url"), "utf8")).toBe(url);
  }));

test("df status asks a supernode that speaks TLS by its address, and wants the CA for it", () =>
  Session.run("tls-command", async (session) => {
    const fleet = await fleetFixture(session, { tls: "on" });
    const { running } = await fleet.supernode("a", { tls: "on" });
    const ask = ["status", "--json", "--supernode"];
    const ca = join(fleet.dataDir, "ca.pem");

    const named = await df(session, [...ask, running.address, "--ca", ca]);
    const asUrl = await df(session, [...ask, `https://${running.address}`, "--ca", ca]);
    const unknown = await df(session, [...ask, running.address]);

    const { hostId } = running.status();
    for (const { stdout } of [named, asUrl]) expect(JSON.parse(stdout)).toMatchObject({ hostId });
    expect(unknown.exitCode).toBe(5);
    expect(unknown.stderr).toContain("hint: copy ca.pem");
  }));

test("a fleet of processes speaks TLS where it is told to, and its executable can be fetched by the CA", () =>
  Session.run("tls-command", async (session) => {
    const [configPort, supernodePort] = [await freePortPair(), await freePortPair()];
    const dataDir = join(session.folder, "config");
    const logPath = (name: string) => ({ logPath: join(session.folder, `${name}.log`) });
    const main = [process.execPath, MAIN];
    const config = [...main, "config", "--listen", `127.0.0.1:${configPort}`, "--tls", "on"];
    session.start([...config, "--data-dir", dataDir], logPath("config"));
    const proof = () => {
      return { ca: readFileSync(join(dataDir, "ca.pem"), "utf8"), serverName: SUPERNODE_TLS_NAME };
    };
    const join_ = `@${join(dataDir, "join")}`;
    await waitUntil("df config has started", () => Bun.file(join_.slice(1)).exists());
    await waitUntil("it has left its CA", () => Bun.file(join(dataDir, "ca.pem")).exists());
    const address = `127.0.0.1:${supernodePort}`;
    const supernode = [...main, "supernode", "--listen", address, "--tls", "on", "--join", join_];
    session.start([...supernode, "--data-dir", join(session.folder, "s")], logPath("supernode"));

    const status = (): Promise<number> =>
      fetch(`https://${address}/livez`, tlsOptionsOf(proof())).then(
        ({ status }) => status,
        () => 0,
      );
    await waitUntil("the supernode answers over TLS", async () => (await status()) === 200);

    const joinString = parseJoinString(readFileSync(join_.slice(1), "utf8"));
    expect(joinString.urls).toEqual([`https://127.0.0.1:${configPort}`]);
    const curl = startProcess(session, [
      ...["curl", "--silent", "--show-error", "--cacert", join(dataDir, "ca.pem")],
      ...["--connect-to", `::${address}`, `https://${SUPERNODE_TLS_NAME}/livez`],
    ]);
    expect((await curl.finished).exitCode).toBe(0);
    expect(readFileSync(logPath("config").logPath, "utf8")).toContain("ca.pem");
  }));

function withoutProxy(joinLine: string): string {
  const said = JSON.parse(Buffer.from(joinLine.slice("df1.".length), "base64url").toString());
  const { isProxied: _, ...others } = said as { isProxied?: boolean };
  return `df1.${Buffer.from(JSON.stringify(others)).toString("base64url")}`;
}

test("machines believe a proxy in front of df config by its own certificate, if it is one that they know", () =>
  Session.run("tls-command", async (session) => {
    const port = await freePortPair();
    const proxyUrl = `https://127.0.0.1:${port}`;
    const fleet = await fleetFixture(session, { urls: [proxyUrl] });
    const ca = await makeCa();
    const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const publicKey = keys.publicKey.export({ type: "spki", format: "der" }).toString("base64");
    const cert = await issueCertificate(ca, { publicKey, names: ["127.0.0.1"] });
    const key = keys.privateKey.export({ type: "pkcs8", format: "pem" });
    const proxy = Bun.serve({
      ...{ hostname: "127.0.0.1", port, development: false, tls: { key, cert } },
      async fetch(request) {
        const { pathname } = new URL(request.url);
        const { method, headers } = request;
        const body = method === "GET" ? {} : { body: await request.text() };
        const answer = await fetch(`${fleet.url}${pathname}`, { method, headers, ...body });
        return new Response(await answer.text(), answer);
      },
    });
    session.defer(() => proxy.stop(true));
    const caFile = join(session.folder, "proxy-ca.pem");
    writeFileSync(caFile, ca.certificate);
    await fleet.supernode("a", { fleet: { ...(await fleet.address("a")), urls: [fleet.url] } });
    const { json: token } = await fleet.call("POST tokens", { body: { kind: "join" } });
    const joinLine = token.joinString as string;
    const peerOf = (name: string, env: Record<string, string>, line = joinLine) => {
      const place = join(session.folder, name);
      const flags = ["--data-dir", place, "--socket", `${place}.sock`, "--listen", "127.0.0.1:0"];
      const command = [process.execPath, MAIN, "peer", ...flags, "--join", line];
      return { dataDir: place, ...startProcess(session, command, { env }) };
    };

    const believing = peerOf("believing", { NODE_EXTRA_CA_CERTS: caFile });
    const doubting = peerOf("doubting", {});
    // Lines of versions before TLS said nothing of proxies, which alone spoke it then.
    const older = peerOf("older", { NODE_EXTRA_CA_CERTS: caFile }, withoutProxy(joinLine));

    const list = join(believing.dataDir, "supernodes.json");
    await waitUntil("it got its supernodes", () => Bun.file(list).exists());
    const olderList = join(older.dataDir, "supernodes.json");
    await waitUntil("the older one got them too", () => Bun.file(olderList).exists());
    const kept = JSON.parse(readFileSync(join(older.dataDir, "membership.json"), "utf8"));
    expect(kept).toMatchObject({ isProxied: true, ca: expect.stringContaining("CERTIFICATE") });
    const { exitCode, stderr } = await doubting.finished;
    expect(exitCode).toBe(5);
    expect(stderr).toContain("its certificate is not believed");
    expect(stderr).toContain(
      "hint: the proxy's certificate must be one that this machine believes",
    );
  }));

test.each([
  ["--tls maybe", "read --tls maybe"],
  ["--listen 0.0.0.0:0 --url http://config.example.org", "this df config speaks TLS"],
])("df config %s is refused with what to write instead", (flags, message) =>
  Session.run("tls-command", async (session) => {
    const dataDir = join(session.folder, "config");

    const { exitCode, stderr } = await df(session, [
      ...["config", "--data-dir", dataDir],
      ...flags.split(" "),
    ]);

    expect(exitCode).toBe(2);
    expect(stderr).toContain(message);
  }),
);

test("plain HTTP beyond loopback is a loud warning, behind a proxy a quiet one", () =>
  Session.run("tls-command", async (session) => {
    const listen = { hostname: "0.0.0.0", port: 0 };

    const bare = await configFixture(session, { listen, tls: "off" });
    const urls = ["https://config.example.org"];
    const proxied = await configFixture(session, { listen, tls: "off", urls });
    const local = await configFixture(session);

    expect(bare.warnings.join()).toContain("PLAIN HTTP ON 0.0.0.0");
    expect(proxied.warnings.join()).toContain("nobody but the proxy");
    expect(local.warnings).toEqual([]);
    const joinString = parseJoinString(proxied.config.firstStart.joinString!.text.reveal());
    expect(joinString).toMatchObject({ urls, isProxied: true });
  }));
