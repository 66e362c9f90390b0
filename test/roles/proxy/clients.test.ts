// Programs that download much, through the proxy as docs/proxy.md says: the real ones, where they are
// installed, against servers on loopback that answer as their indexes do.

import { afterEach, expect, test } from "bun:test";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { digestNow, toHex } from "../../../src/engine/bytes/digest.ts";
import { certificateAuthority } from "../../fixtures/certificate-authority.ts";
import { Cleanups, randomBytes, tempFolder } from "../peer-fixture.ts";
import { type ForwardFixture, forwardFixture } from "./forward-fixture.ts";

const TIMEOUT_MS = 120_000;

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

const python = pathOf(["python3", "-c", "import pip, sys; print(sys.executable)"]);
const npm = pathOf(["sh", "-c", "command -v npm"]);
const maven = pathOf(["sh", "-c", "command -v mvn && command -v keytool"]);
for (const [name, path] of Object.entries({ pip: python, npm, maven })) {
  if (path === null) console.warn(`SKIPPED: ${name} is not installed`);
}

function pathOf(command: string[]): string | null {
  const { exitCode, stdout } = Bun.spawnSync(command, { stderr: "ignore" });
  return exitCode === 0 ? stdout.toString().trim().split("\n")[0]! : null;
}

/** By path. */
type Files = Record<string, { type: string; body: Buffer | string }>;

interface Index {
  readonly origin: string;
  readonly port: number;
  /** Paths asked for, in order. */
  readonly asked: string[];
}

/** An https server of files by path; what `sourceCa` signed is believed by the peer alone. */
async function index(files: (origin: string) => Files): Promise<Index & { sourceCa: string }> {
  const authority = await certificateAuthority();
  const { cert, key } = await authority.issue();
  const asked: string[] = [];
  const server: Bun.Server<undefined> = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0, development: false, tls: { cert, key } },
    fetch(request): Response {
      const { pathname } = new URL(request.url);
      asked.push(`${request.method} ${pathname}`);
      const file = files(`https://localhost:${server.port}`)[pathname];
      if (file === undefined) return new Response("not here", { status: 404 });
      const etag = `"${toHex(digestNow("sha256", Buffer.from(file.body)))}"`;
      const body = typeof file.body === "string" ? file.body : new Uint8Array(file.body);
      const headers = { "content-type": file.type, etag, "cache-control": "max-age=600" };
      return new Response(body, { headers });
    },
  });
  cleanups.defer(() => server.stop(true));
  return {
    ...{ origin: `https://localhost:${server.port}`, port: server.port!, asked },
    sourceCa: authority.ca,
  };
}

/** Opens TLS with the index, and gives what the rule names to the swarm. */
async function proxyFor({ port, sourceCa }: Index & { sourceCa: string }, path: string) {
  const intercept = [`localhost:${port}`];
  const rules = [`localhost:${port}${path}=swarm`];
  const proxy = await forwardFixture(cleanups, { intercept, rules, sourceCa });
  const folder = await tempFolder(cleanups);
  const caPath = join(folder, "ca.pem");
  await writeFile(caPath, proxy.ca());
  return { proxy, folder, caPath };
}

async function run(command: string[], cwd: string, env: Record<string, string>): Promise<void> {
  const child = Bun.spawn(command, {
    ...{ cwd, stdout: "pipe", stderr: "pipe", timeout: TIMEOUT_MS },
    env: { PATH: process.env["PATH"]!, HOME: cwd, ...env },
  });
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const exitCode = await child.exited;
  expect({ exitCode, output: exitCode === 0 ? "" : output + errors }).toEqual({
    exitCode: 0,
    output: "",
  });
}

/** How often the index itself was asked for the bytes of a file. */
function readsOf({ asked }: Index, path: string): number {
  return asked.filter((one) => one === `GET ${path}`).length;
}

/** What other hosts of the swarm would be: the same file once more, from nothing but what the peer holds. */
async function again(proxy: ForwardFixture, url: string): Promise<Buffer> {
  const answer = await fetch(url, { proxy: proxy.url, tls: { ca: proxy.ca() } });
  return Buffer.from(await answer.arrayBuffer());
}

test.if(python !== null)(
  "pip installs a wheel that the swarm brought, from an index whose TLS is opened",
  async () => {
    const wheels = await tempFolder(cleanups);
    const name = "proxied-1.0-py3-none-any.whl";
    const script = [
      "import sys, zipfile",
      "z = zipfile.ZipFile(sys.argv[1], 'w')",
      "z.writestr('proxied/__init__.py', 'value = 42')",
      "z.write(sys.argv[2], 'proxied/data.bin')",
      "z.writestr('proxied-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: proxied\\nVersion: 1.0\\n')",
      "z.writestr('proxied-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')",
      "z.writestr('proxied-1.0.dist-info/RECORD', '')",
      "z.close()",
    ].join("\n");
    await writeFile(join(wheels, "data.bin"), randomBytes(3 << 20));
    await run([python!, "-c", script, join(wheels, name), join(wheels, "data.bin")], wheels, {});
    const wheel = await readFile(join(wheels, name));
    const sha256 = toHex(digestNow("sha256", wheel));
    const page = `<!DOCTYPE html><html><body><a href="/packages/${name}#sha256=${sha256}">${name}</a></body></html>`;
    const pypi = await index(() => ({
      "/simple/proxied/": { type: "text/html", body: page },
      [`/packages/${name}`]: { type: "application/octet-stream", body: wheel },
    }));
    const { proxy, folder, caPath } = await proxyFor(pypi, "/packages/*.whl");

    const target = join(folder, "site");
    const from = ["--index-url", `${pypi.origin}/simple/`, "--proxy", proxy.url];
    const quiet = ["--no-cache-dir", "--no-input", "--disable-pip-version-check"];
    await run(
      [python!, "-m", "pip", "install", ...from, ...quiet, "--target", target, "proxied"],
      folder,
      { REQUESTS_CA_BUNDLE: caPath, PIP_CONFIG_FILE: "/dev/null" },
    );

    expect(await readFile(join(target, "proxied/data.bin"))).toEqual(
      await readFile(join(wheels, "data.bin")),
    );
    const reads = readsOf(pypi, `/packages/${name}`);
    expect((await again(proxy, `${pypi.origin}/packages/${name}`)).equals(wheel)).toBe(true);
    expect(readsOf(pypi, `/packages/${name}`)).toBe(reads);
  },
  TIMEOUT_MS,
);

test.if(npm !== null)(
  "npm installs a package whose archive the swarm brought, from a registry whose TLS is opened",
  async () => {
    const sources = await tempFolder(cleanups);
    const data = randomBytes(2 << 20);
    await mkdir(join(sources, "package"));
    await writeFile(join(sources, "package/package.json"), '{"name":"proxied","version":"1.0.0"}');
    await writeFile(join(sources, "package/data.bin"), data);
    await run(["tar", "czf", "proxied.tgz", "package"], sources, {});
    const archive = await readFile(join(sources, "proxied.tgz"));
    const shasum = sha1Of(archive);
    const registry = await index((origin) => {
      const dist = { tarball: `${origin}/proxied/-/proxied-1.0.0.tgz`, shasum };
      const version = { name: "proxied", version: "1.0.0", dist };
      const document = {
        name: "proxied",
        "dist-tags": { latest: "1.0.0" },
        versions: { "1.0.0": version },
      };
      return {
        "/proxied": { type: "application/json", body: JSON.stringify(document) },
        "/proxied/-/proxied-1.0.0.tgz": { type: "application/octet-stream", body: archive },
      };
    });
    const { proxy, folder, caPath } = await proxyFor(registry, "/*.tgz");

    const settings = [
      ...[`registry=${registry.origin}/`, `https-proxy=${proxy.url}`, `proxy=${proxy.url}`],
      ...[`cafile=${caPath}`, "audit=false", "fund=false", "update-notifier=false", ""],
    ];
    await writeFile(join(folder, ".npmrc"), settings.join("\n"));
    await writeFile(join(folder, "package.json"), '{"name":"user","version":"1.0.0"}');
    await run([npm!, "install", "--cache", join(folder, "cache"), "proxied"], folder, {});

    expect((await readFile(join(folder, "node_modules/proxied/data.bin"))).equals(data)).toBe(true);
    const path = "/proxied/-/proxied-1.0.0.tgz";
    const reads = readsOf(registry, path);
    expect((await again(proxy, registry.origin + path)).equals(archive)).toBe(true);
    expect(readsOf(registry, path)).toBe(reads);
  },
  TIMEOUT_MS,
);

test.if(maven !== null)(
  "Maven resolves an archive that the swarm brought, from a repository whose TLS is opened",
  async () => {
    const sources = await tempFolder(cleanups);
    await writeFile(join(sources, "data.bin"), randomBytes(2 << 20));
    await run(["jar", "cf", "proxied.jar", "data.bin"], sources, {});
    const archive = await readFile(join(sources, "proxied.jar"));
    const base = "/maven2/test/proxied/1.0/proxied-1.0";
    const artifact = (path: string, id: string, group: string, version: string): Files => {
      const model = projectOf(id, group, version, "");
      return {
        [`${path}.pom`]: { type: "text/xml", body: model },
        [`${path}.pom.sha1`]: { type: "text/plain", body: sha1Of(model) },
        [`${path}.jar`]: { type: "application/java-archive", body: archive },
        [`${path}.jar.sha1`]: { type: "text/plain", body: sha1Of(archive) },
      };
    };
    const repository = await index(() => ({
      ...artifact(base, "proxied", "test", "1.0"),
      // Maven gives it to every extension that does not name it.
      ...artifact(
        "/maven2/org/codehaus/plexus/plexus-utils/1.1/plexus-utils-1.1",
        ...(["plexus-utils", "org.codehaus.plexus", "1.1"] as const),
      ),
    }));
    const { proxy, folder, caPath } = await proxyFor(repository, "/maven2/*.jar");

    const store = join(folder, "trust.p12");
    const password = ["-storepass", "changeit", "-noprompt"];
    await run(
      ["keytool", "-importcert", "-alias", "df", "-file", caPath, "-keystore", store, ...password],
      folder,
      {},
    );
    const proxies = `<proxy><protocol>https</protocol><host>127.0.0.1</host><port>${proxy.port}</port></proxy>`;
    await writeFile(
      join(folder, "settings.xml"),
      `<settings><proxies>${proxies}</proxies></settings>`,
    );
    const place = `<pluginRepository><id>central</id><url>${repository.origin}/maven2</url></pluginRepository>`;
    const extension =
      "<extension><groupId>test</groupId><artifactId>proxied</artifactId><version>1.0</version></extension>";
    await writeFile(
      join(folder, "pom.xml"),
      projectOf(
        ...(["user", "test", "1.0"] as const),
        `<packaging>pom</packaging><pluginRepositories>${place}</pluginRepositories>` +
          `<build><extensions>${extension}</extensions></build>`,
      ),
    );
    const local = join(folder, "repository");
    await run(
      ["mvn", "-B", "-q", "-s", "settings.xml", `-Dmaven.repo.local=${local}`, "validate"],
      folder,
      {
        MAVEN_OPTS: `-Djavax.net.ssl.trustStore=${store} -Djavax.net.ssl.trustStorePassword=changeit`,
      },
    );

    expect((await readFile(join(local, "test/proxied/1.0/proxied-1.0.jar"))).equals(archive)).toBe(
      true,
    );
    const reads = readsOf(repository, `${base}.jar`);
    expect((await again(proxy, `${repository.origin}${base}.jar`)).equals(archive)).toBe(true);
    expect(readsOf(repository, `${base}.jar`)).toBe(reads);
  },
  TIMEOUT_MS,
);

function projectOf(id: string, group: string, version: string, rest: string): string {
  return (
    '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>' +
    `<groupId>${group}</groupId><artifactId>${id}</artifactId><version>${version}</version>${rest}</project>`
  );
}

function sha1Of(bytes: Uint8Array | string): string {
  return new Bun.CryptoHasher("sha1").update(bytes).digest("hex");
}
