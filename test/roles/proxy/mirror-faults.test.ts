// Registries that are down, refuse, or lie, before real mirrors: the engine gets an error as registries tell
// them, or a connection that breaks before the end; nothing wrong is kept, and the next try is a fresh one.

import { afterEach, beforeAll, expect, test } from "bun:test";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import {
  addManifest,
  askRaw,
  errorOf,
  manifestBytes,
  mirrorFixture,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../../fixtures/mirror-fixture.ts";
import { VALIDATED_FRESH_MS } from "../../../src/limits.ts";
import { digestOf } from "../../fixtures/image-builder.ts";
import { type SourceCertificates, sourceCertificates } from "../../fixtures/source-certificates.ts";
import { Cleanups, randomBytes } from "../peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

/** Longer than what travels inside a join's answer, and shorter than what comes in several parts. */
const SMALL = 60_000;
/** So long that much of it is at the engine before its end is here. */
const LARGE = 9_000_000;

test.each([
  [401, 401, null],
  [403, 403, null],
  [404, 404, "BLOB_UNKNOWN"],
  [410, 404, "BLOB_UNKNOWN"],
] as const)("a registry's %d to everybody is %d to the engine", async (said, told, code) => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const digest = registry.add(randomBytes(SMALL));
  registry.refuses = () => said;

  const answer = await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`);

  expect(answer.status).toBe(told);
  if (code !== null) expect(errorOf(answer).code).toBe(code);
  expect(mirror.peer.status().store.contents).toBe(0);
});

test("a manifest that is not there is unknown, by tag and by digest", async () => {
  const { mirror } = await mirrorFixture(cleanups);

  for (const reference of ["latest", digestOf(Buffer.from("not there"))]) {
    const got = await askRaw(`${mirror.url}/v2/team/app/manifests/${reference}`);
    const head = await askRaw(`${mirror.url}/v2/team/app/manifests/${reference}`, {
      method: "HEAD",
    });

    expect([got.status, errorOf(got).code]).toEqual([404, "MANIFEST_UNKNOWN"]);
    expect([head.status, head.body.length]).toEqual([404, 0]);
  }
});

// Engines went past the mirror for good, and nothing said so.
test("a registry in trouble is told in the host's log, once, with what may help", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups, { hasSupernode: false });
  const digest = registry.add(randomBytes(SMALL));
  const ask = (host: string, name: string) =>
    askRaw(`${mirror.url}/v2/team/app/${name}`, {
      headers: { "x-dragonfly-registry": host },
    });

  for (const name of ["manifests/v1", `blobs/${digest}`]) {
    expect((await ask(`https://${registry.host}`, name)).status).toBe(502);
  }
  await ask(`http://${registry.host}`, `blobs/${digestOf(Buffer.from("x"))}`);

  expect(mirror.warnings).toEqual([
    expect.stringMatching(
      /^engines are sent to 127\.0\.0\.1:\d+ itself: read https:.*does not speak TLS \(.*--registry-upstream/,
    ),
  ]);
});

test("a registry that is down is told as such, and what was pulled before is there", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const known = registry.add(randomBytes(SMALL));
  await askRaw(`${mirror.url}/v2/team/app/blobs/${known}`);
  await registry.stop();

  const path = `${mirror.url}/v2/team/app`;
  const here = await askRaw(`${path}/blobs/${known}`);
  const absent = await askRaw(`${path}/blobs/${digestOf(Buffer.from("x"))}`);
  const tags = await askRaw(`${path}/tags/list`);

  expect(here.status).toBe(200);
  for (const answer of [absent, tags]) {
    expect([502, 503, 504]).toContain(answer.status);
    expect(errorOf(answer).code).toBe("UNAVAILABLE");
  }
}, 20_000);

test("the last word of a registry that is down comes with a warning, and its present one without", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const digest = addManifest(registry, manifestBytes());
  registry.tags.set("team/app:latest", digest);
  const url = `${mirror.url}/v2/team/app/manifests/latest`;

  const present = await askRaw(url);
  await Bun.sleep(VALIDATED_FRESH_MS + 100);
  registry.refuses = () => 503;
  const last = [await askRaw(url), await askRaw(url, { method: "HEAD" })];

  expect([present.status, present.headers["warning"]]).toEqual([200, undefined]);
  for (const { status, headers } of last) {
    expect([status, headers["docker-content-digest"]]).toEqual([200, digest]);
    expect(headers["warning"]).toStartWith('299 - "this may be out of date');
  }
}, 20_000);

test.each([SMALL, LARGE])(
  "other bytes than the digest's (%d of them) never come whole, and are kept nowhere",
  async (length) => {
    const { registry, mirrors } = await mirrorFixture(cleanups, { peerCount: 2 });
    const blob = randomBytes(length);
    const digest = registry.add(blob);
    registry.sends = (bytes) => {
      const wrong = Buffer.from(bytes);
      wrong[bytes.length - 7]! ^= 1;
      return wrong;
    };

    for (const { url } of mirrors) {
      const answer = await askRaw(`${url}/v2/team/app/blobs/${digest}`);
      expect(answer.isWhole && answer.status === 200).toBe(false);
      if (answer.status !== 200) expect(errorOf(answer).code).toBe("UNAVAILABLE");
    }
    registry.sends = (bytes) => bytes;

    // Until it is asked again, a refusal counts for all who ask.
    await until(async () => {
      const answers = await Promise.all(
        mirrors.map(({ url }) => askRaw(`${url}/v2/team/app/blobs/${digest}`)),
      );
      return answers.every(({ isWhole, body }) => isWhole && body.equals(blob));
    });
  },
  40_000,
);

test("a blob that ends early never comes whole", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const blob = randomBytes(LARGE);
  const digest = registry.add(blob);
  let isCut = true;
  registry.instead = ({ method, headers }, response) => {
    if (!isCut || method !== "GET" || headers.range === undefined) return false;
    const start = Number(/^bytes=(\d+)/.exec(headers.range)![1]);
    if (start < 4_000_000) return false;
    response.writeHead(206, {
      "content-length": blob.length - start,
      "content-range": `bytes ${start}-${blob.length - 1}/${blob.length}`,
      etag: `"${digest}"`,
    });
    response.write(blob.subarray(start, start + 1000), () => response.destroy());
    return true;
  };

  const cut = await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`);
  isCut = false;

  expect(cut.isWhole && cut.status === 200).toBe(false);
  await until(async () => {
    const again = await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`);
    return again.isWhole && again.body.equals(blob);
  });
}, 60_000);

// Who asked heard that the content was gone, and to ask again, when it was wrong.
test("a blob that ends early as if it were whole is wrong, not gone", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const blob = randomBytes(3_000_000);
  const digest = registry.add(blob);
  registry.instead = ({ method }, response) => {
    if (method === "HEAD") return false;
    response.writeHead(200, { "transfer-encoding": "chunked" });
    response.end(blob.subarray(0, 2_000_000));
    return true;
  };

  const answer = await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`);

  if (answer.isWhole) expect([answer.status, errorOf(answer).code]).toEqual([502, "UNAVAILABLE"]);
  expect(answer.isWhole && answer.status === 200).toBe(false);
});

test("T-37: a manifest whose bytes contradict themselves is refused, from swarm and registry alike", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const liar = manifestBytes({ mediaType: OCI_INDEX, manifests: [] });
  const digest = addManifest(registry, liar, OCI_INDEX);
  registry.tags.set("team/app:liar", digest);

  for (const reference of ["liar", digest]) {
    const answer = await askRaw(`${mirror.url}/v2/team/app/manifests/${reference}`);
    expect([answer.status, errorOf(answer).code]).toEqual([502, "MANIFEST_INVALID"]);
  }
});

test("T-37: a manifest comes as what its digest names, whatever type the registry claims", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const bytes = manifestBytes();
  const digest = addManifest(registry, bytes, OCI_INDEX);
  const path = `${mirror.url}/v2/team/app/manifests/${digest}`;

  const swarm = await askRaw(path);
  // What goes past the swarm comes with the registry's own word on it.
  registry.refuses = ({ headers }) => (headers["user-agent"] === "engine" ? undefined : 403);
  const other = addManifest(registry, manifestBytes({ annotations: { a: "b" } }), OCI_INDEX);
  const passed = await askRaw(`${mirror.url}/v2/team/app/manifests/${other}`, {
    headers: { "user-agent": "engine" },
  });

  expect([swarm.status, swarm.headers["content-type"]]).toEqual([200, OCI_MANIFEST]);
  expect([passed.status, errorOf(passed).code]).toEqual([502, "MANIFEST_INVALID"]);
});

test("a manifest of more than 4 MiB, or that is none, is refused", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const large = addManifest(registry, manifestBytes({ annotations: { a: "b".repeat(5 << 20) } }));
  const page = addManifest(registry, new TextEncoder().encode("<html>sign in</html>"));

  for (const digest of [large, page]) {
    const answer = await askRaw(`${mirror.url}/v2/team/app/manifests/${digest}`);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(JSON.parse(answer.body.toString())).toHaveProperty("errors");
  }
});

// The supernode went on until its disk was full, and dropped what others use.
test("T-30: a manifest that never ends is refused, and read no further by anybody", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const ended = Promise.withResolvers<void>();
  registry.instead = (_request, response) => {
    response.writeHead(200, { "content-type": OCI_MANIFEST });
    response.once("close", ended.resolve);
    const send = (): void => {
      if (!response.destroyed) response.write(" ".repeat(64 << 10), () => setTimeout(send, 1));
    };
    send();
    return true;
  };

  const answer = await askRaw(`${mirror.url}/v2/team/app/manifests/latest`);
  await ended.promise;

  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(answer.isWhole).toBe(true);
});

test("other bytes than a manifest's digest are refused, from swarm and registry alike", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const digest = addManifest(registry, manifestBytes());
  registry.sends = () => manifestBytes({ annotations: { other: "bytes" } });

  const swarm = await askRaw(`${mirror.url}/v2/team/app/manifests/${digest}`);
  registry.refuses = ({ headers }) => (headers["user-agent"] === "engine" ? undefined : 403);
  const passed = await askRaw(`${mirror.url}/v2/other/app/manifests/${digest}`, {
    headers: { "user-agent": "engine" },
  });

  for (const answer of [swarm, passed]) {
    expect([answer.status, errorOf(answer).code]).toEqual([502, "MANIFEST_INVALID"]);
  }
});

test("a registry's 429 reaches the engine with the time to come back", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const digest = registry.add(randomBytes(SMALL));
  registry.instead = (_request, response) => {
    response.writeHead(429, { "retry-after": "6" }).end('{"errors":[]}');
    return true;
  };

  const swarm = await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`);
  const passed = await askRaw(`${mirror.url}/v2/team/app/tags/list`);

  expect([swarm.status, errorOf(swarm).code]).toEqual([429, "TOOMANYREQUESTS"]);
  expect(Number(swarm.headers["retry-after"])).toBeGreaterThan(0);
  expect([passed.status, passed.headers["retry-after"]]).toEqual([429, "6"]);
}, 60_000);

// The mirror first waited as often as it was told to: engines that would have asked elsewhere stood still.
test("an engine hears of a 429 at once, and the registry is asked once for all who ask meanwhile", async () => {
  const { registry, mirrors } = await mirrorFixture(cleanups, { peerCount: 2 });
  const digest = registry.add(randomBytes(SMALL));
  registry.instead = (_request, response) => {
    response.writeHead(429, { "retry-after": "300" }).end();
    return true;
  };

  for (const path of [`blobs/${digest}`, `manifests/${digest}`, "manifests/latest"]) {
    for (const { url } of mirrors) {
      const answer = await askRaw(`${url}/v2/team/app/${path}`);
      expect([answer.status, answer.headers["retry-after"]]).toEqual([429, "300"]);
      expect(errorOf(answer).code).toBe("TOOMANYREQUESTS");
    }
  }
  expect(registry.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
    `HEAD /v2/team/app/blobs/${digest}`,
    "GET /v2/team/app/manifests/latest",
  ]);
});

// Each who heard of a refusal began its time anew: while anybody asked, the registry was not asked again.
test("what a registry refused for a moment is there after it, however often it is asked for meanwhile", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const digest = registry.add(randomBytes(SMALL));
  let isPushed = false;
  registry.instead = (_request, response) => {
    if (!isPushed) response.writeHead(404, { "cache-control": "max-age=2" }).end();
    return !isPushed;
  };

  const before = await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`);
  isPushed = true;

  expect(before.status).toBe(404);
  await until(async () => {
    const { status } = await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`);
    return status === 200;
  });
}, 20_000);

test("a registry that was too busy for a moment is asked again after it, however many ask meanwhile", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const digests = Array.from({ length: 3 }, () => registry.add(randomBytes(SMALL)));
  let isBusy = true;
  registry.instead = (_request, response) => {
    if (isBusy) response.writeHead(429, { "retry-after": "3" }).end();
    return isBusy;
  };
  const statuses = async (): Promise<number[]> => {
    const answers = digests.map((digest) => askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`));
    return (await Promise.all(answers)).map(({ status }) => status);
  };

  const before = await statuses();
  isBusy = false;

  expect(before).toEqual([429, 429, 429]);
  await until(async () => (await statuses()).every((status) => status === 200));
}, 20_000);

let certificates: SourceCertificates;
beforeAll(async () => {
  certificates = await sourceCertificates();
});

test("a registry whose certificate does not verify gives nothing, and the engine an error", async () => {
  const { mirror } = await mirrorFixture(cleanups);
  const asked: string[] = [];
  const server = createTlsServer({ ...certificates.selfSigned }, (request, response) => {
    asked.push(request.url!);
    response.end("{}");
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  cleanups.defer(() => new Promise((resolve) => server.close(resolve)));
  const registry = `https://localhost:${(server.address() as AddressInfo).port}`;
  const headers = { "x-dragonfly-registry": registry };
  const digest = digestOf(Buffer.from("x"));

  for (const path of [`blobs/${digest}`, `manifests/${digest}`, "manifests/latest", "tags/list"]) {
    const answer = await askRaw(`${mirror.url}/v2/team/app/${path}`, { headers });
    expect([path, answer.status]).toEqual([path, 502]);
    expect(errorOf(answer).code).toBe("UNAVAILABLE");
  }
  expect(asked).toEqual([]);
});

test("a mirror does not ask itself, by whatever name", async () => {
  const { mirror } = await mirrorFixture(cleanups);
  const port = mirror.address.split(":")[1];

  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `127.1.2.3:${port}`]) {
    const answer = await askRaw(`${mirror.url}/v2/team/app/tags/list?ns=${host}`);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(JSON.parse(answer.body.toString())).toHaveProperty("errors");
  }
});

test("two mirrors that are each other's upstream end the round", async () => {
  const { mirrors } = await mirrorFixture(cleanups, { peerCount: 2, hasSupernode: false });
  const [one, two] = mirrors.map(({ address }) => address) as [string, string];
  const path = `/v2/${two}/${one.replace(":", "_")}/team/app/tags/list`;

  const answer = await askRaw(`http://${one}${path}`);

  expect(answer.status).toBe(403);
});

/** Waits for what time alone brings. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await Bun.sleep(250);
}
