// Whom df believes that it is the source, and by which way it goes there: certificates, private CAs and
// proxies, for `df get` by itself and for supernodes.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Secret } from "../../src/engine/bytes/secret.ts";
import { Session } from "../../bench/harness/session.ts";
import { startBadSource } from "../fixtures/bad-source.ts";
import type { ServerCertificate } from "../fixtures/certificate-authority.ts";
import { proxyFixture } from "../fixtures/proxy-fixture.ts";
import { scriptedSwarmPeer } from "../fixtures/scripted-swarm-peer.ts";
import { type SourceCertificates, sourceCertificates } from "../fixtures/source-certificates.ts";
import { supernodeFixture } from "../fixtures/supernode-fixture.ts";
import { runGet } from "./get-process.ts";
import { Cleanups } from "./peer-fixture.ts";

const BODY = "behind TLS";

let certificates: SourceCertificates;
beforeAll(async () => {
  certificates = await sourceCertificates();
});
const cleanups = new Cleanups();
afterEach(() => cleanups.run());
const environment = { ...process.env };
afterAll(() => {
  process.env = environment;
});

function tlsSource({ cert, key }: ServerCertificate): string {
  const source = Bun.serve({
    ...{ port: 0, hostname: "127.0.0.1", development: false, tls: { cert, key } },
    fetch: () => new Response(BODY, { headers: { etag: '"1"' } }),
  });
  cleanups.defer(() => source.stop(true));
  return `https://localhost:${source.port}/x`;
}

const WRONG = ["selfSigned", "expired", "notYetValid", "wrongHost", "wrongUsage"] as const;

describe("T-20: df get", () => {
  test.each(WRONG)(
    "does not believe a certificate that is %s, whatever CA is named",
    async (which) => {
      const url = tlsSource(certificates[which]);

      await Session.run("get", async (session) => {
        await writeFile(join(session.folder, "ca.pem"), certificates.ca);
        const args = [url, "-o", "output", "--tries", "1"];
        const [bare, withCa] = await Promise.all([
          runGet(session, args),
          runGet(session, [url, "-o", "other", "--tries", "1", "--cacert", "ca.pem"]),
        ]);

        expect([bare.exitCode, withCa.exitCode]).toEqual([5, 5]);
        expect(await Bun.file(join(session.folder, "output")).exists()).toBe(false);
      });
    },
  );

  test("believes a private CA's certificate with --cacert alone", async () => {
    const url = tlsSource(certificates.right);

    await Session.run("get", async (session) => {
      await writeFile(join(session.folder, "ca.pem"), certificates.ca);
      const args = [url, "-o", "output", "--tries", "1"];
      const unknown = await runGet(session, args);
      const known = await runGet(session, [...args, "--cacert", "ca.pem"]);

      expect([unknown.exitCode, known.exitCode]).toEqual([5, 0]);
      expect(known.stderr).not.toContain("warning");
    });
  });

  test("says at each run that --insecure verifies nothing, also when it is to be quiet", async () => {
    const url = tlsSource(certificates.expired);

    await Session.run("get", async (session) => {
      const args = [url, "-o", "output", "--insecure", "--quiet"];
      const { exitCode, stderr } = await runGet(session, args);

      expect(exitCode).toBe(0);
      expect(stderr).toContain("warning: certificates are not verified (--insecure)");
    });
  });
});

describe("T-20: a supernode", () => {
  const outcomeOf = async (url: string, sourceCa?: string): Promise<string> => {
    const supernode = await supernodeFixture({ sourceCa });
    cleanups.defer(() => supernode.stop());
    const peer = await scriptedSwarmPeer(supernode.current.address);
    cleanups.defer(() => peer.close());
    return peer.join(url).then(
      ({ length }) => `read ${length}`,
      (error: Error) => JSON.parse(error.message).error.code,
    );
  };

  test.each(WRONG)("does not believe a certificate that is %s", async (which) => {
    const url = tlsSource(certificates[which]);

    expect(await outcomeOf(url, certificates.ca)).toBe("tls");
  });

  test("believes a private CA's certificate with --source-ca", async () => {
    const url = tlsSource(certificates.right);

    expect(await outcomeOf(url)).toBe("tls");
    expect(await outcomeOf(url, certificates.ca)).toBe(`read ${BODY.length}`);
  });
});

describe("proxies", () => {
  async function setUp() {
    const source = await startBadSource((reply) => reply.serve(Buffer.from(BODY)));
    const proxy = await proxyFixture("me:s3cret");
    cleanups.defer(() => source.stop());
    cleanups.defer(() => proxy.stop());
    // A name that only the proxy knows.
    return { proxy, url: `http://files.internal:${source.port}/x`, direct: source.url };
  }

  test("of the environment are used by df get as wget uses them", async () => {
    const { proxy, url, direct } = await setUp();

    await Session.run("get", async (session) => {
      const env = { http_proxy: proxy.url, no_proxy: "127.0.0.1,.example" };
      const args = ["-o", "output", "--tries", "1"];
      const through = await runGet(session, [url, ...args], { env });
      const excepted = await runGet(session, [direct, "-o", "other"], { env });
      const off = await runGet(session, [url, ...args, "--no-proxy"], { env });

      expect([through.exitCode, excepted.exitCode, off.exitCode]).toEqual([0, 0, 4]);
      expect(new Set(proxy.requests)).toEqual(new Set([`GET ${url}`]));
    });
  });

  test("of --source-proxy may lie in a file, where no process list shows their password", async () => {
    const { proxy, url } = await setUp();

    await Session.run("get", async (session) => {
      await writeFile(join(session.folder, "proxies"), `# ours\n*.internal=${proxy.url}\n`);
      const args = [url, "-o", "output", "--source-proxy", "@proxies"];

      expect((await runGet(session, args)).exitCode).toBe(0);
    });
  });

  test("that make no sense are told without the password", async () => {
    await Session.run("get", async (session) => {
      const args = ["http://files.internal/x", "--source-proxy", "*=socks://me:s3cret@proxy:1"];
      const { exitCode, stderr } = await runGet(session, args);

      expect(exitCode).toBe(2);
      expect(stderr).toContain("--source-proxy");
      expect(stderr).not.toContain("s3cret");
    });
  });

  test("of the environment are nothing to a supernode, those that it was given are", async () => {
    const { proxy, url, direct } = await setUp();
    process.env["http_proxy"] = process.env["HTTP_PROXY"] = "http://127.0.0.1:2";
    const supernode = await supernodeFixture({
      sourceProxy: new Secret({ "*.internal": proxy.url }),
    });
    cleanups.defer(() => supernode.stop());
    const peer = await scriptedSwarmPeer(supernode.current.address);
    cleanups.defer(() => peer.close());

    expect((await peer.join(direct)).length).toBe(BODY.length);
    expect((await peer.join(url)).length).toBe(BODY.length);
    expect(new Set(proxy.requests)).toEqual(new Set([`GET ${url}`]));
  });
});
