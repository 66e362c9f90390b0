// The registry mirror of real peers before a registry that the test scripts: what engines get, from whom, and
// what the registry sees of it.

import { afterEach, expect, test } from "bun:test";
import { once } from "node:events";
import http from "node:http";
import type { ServerResponse } from "node:http";
import {
  addManifest,
  askRaw,
  errorOf,
  manifestBytes,
  mirrorFixture,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../../fixtures/mirror-fixture.ts";
import { describePeer } from "../../../src/roles/status/describe-peer.ts";
import { digestOf } from "../../fixtures/image-builder.ts";
import { Cleanups, randomBytes } from "../peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

function json(response: ServerResponse, status: number, value: unknown, fields = {}): true {
  response.writeHead(status, { "content-type": "application/json", ...fields });
  response.end(JSON.stringify(value));
  return true;
}

test("two hosts pull one blob at once, and the registry sends it once", async () => {
  const { registry, mirrors } = await mirrorFixture(cleanups, { peerCount: 2 });
  const blob = randomBytes(5_000_000);
  const digest = registry.add(blob);

  const answers = await Promise.all(
    mirrors.map(({ url }) => askRaw(`${url}/v2/team/app/blobs/${digest}`)),
  );

  for (const { status, headers, body, isWhole } of answers) {
    expect([status, isWhole]).toEqual([200, true]);
    expect(body.equals(blob)).toBe(true);
    expect(headers).toMatchObject({
      "content-type": "application/octet-stream",
      "content-length": String(blob.length),
      "docker-content-digest": digest,
      "docker-distribution-api-version": "registry/2.0",
      etag: `"${digest}"`,
      "accept-ranges": "bytes",
    });
  }
  expect(registry.bodyBytes).toBe(blob.length);
});

test("a blob reaches the engine while the registry still sends it", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const blob = randomBytes(6_000_000);
  const digest = registry.add(blob);
  const opened = Promise.withResolvers<void>();
  registry.gate = ({ headers }) =>
    headers.range === undefined || headers.range.startsWith("bytes=0-")
      ? undefined
      : opened.promise;

  const request = http.get(`${mirror.url}/v2/team/app/blobs/${digest}`, { agent: false });
  const [message] = (await once(request, "response")) as [http.IncomingMessage];
  const [first] = (await once(message, "data")) as [Buffer];
  opened.resolve();
  const parts = [first];
  for await (const part of message) parts.push(part as Buffer);

  expect(Buffer.concat(parts).equals(blob)).toBe(true);
});

test("a manifest by digest comes through the swarm with the type that its bytes tell, GET and HEAD", async () => {
  const { registry, mirrors } = await mirrorFixture(cleanups, { peerCount: 2 });
  const bytes = manifestBytes();
  const digest = addManifest(registry, bytes);
  const index = new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, manifests: [] }));
  const indexDigest = addManifest(registry, index, OCI_INDEX);

  for (const { url } of mirrors) {
    const got = await askRaw(`${url}/v2/team/app/manifests/${digest}`);
    const head = await askRaw(`${url}/v2/team/app/manifests/${digest}`, { method: "HEAD" });
    const other = await askRaw(`${url}/v2/team/app/manifests/${indexDigest}`);

    expect(got.body.equals(bytes)).toBe(true);
    expect(head.body.length).toBe(0);
    for (const { status, headers } of [got, head]) {
      expect(status).toBe(200);
      expect(headers).toMatchObject({
        "content-type": OCI_MANIFEST,
        "content-length": String(bytes.length),
        "docker-content-digest": digest,
        etag: `"${digest}"`,
      });
    }
    expect(other.headers["content-type"]).toBe(OCI_INDEX);
  }
  expect(registry.asked("GET", digest)).toHaveLength(1);
});

// The last piece came before the length was told: a reader behind it spun for ever, and the whole peer with it.
test.each([500, 3_000_000])(
  "%d bytes that a registry sends without saying how many come whole, as manifest and as blob",
  async (length) => {
    const { registry, mirror } = await mirrorFixture(cleanups);
    const blob = randomBytes(length);
    const digest = registry.add(blob);
    const manifest = manifestBytes({ annotations: { of: "x".repeat(length) } });
    registry.tags.set("team/app:latest", addManifest(registry, manifest));
    registry.instead = ({ method, url = "" }, response) => {
      if (method === "HEAD") return false;
      const bytes = url.includes("/blobs/") ? blob : manifest;
      // The end of the body comes a moment after its bytes.
      response.write(bytes, () => setTimeout(() => response.end(), 50));
      return true;
    };

    const layer = await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`);
    const tag = await askRaw(`${mirror.url}/v2/team/app/manifests/latest`);

    expect([layer.status, layer.body.equals(blob)]).toEqual([200, true]);
    expect([tag.status, tag.body.equals(manifest)]).toEqual([200, true]);
  },
  20_000,
);

test("a tag is asked for with what the engine accepts, and its digest is that of the bytes", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const bytes = manifestBytes();
  const digest = addManifest(registry, bytes);
  registry.tags.set("team/app:v1", digest);
  registry.namesDigest = false;
  const accepted: (string | undefined)[] = [];
  registry.gate = ({ headers }) => void accepted.push(headers.accept);
  const url = `${mirror.url}/v2/team/app/manifests/v1`;
  // Docker repeats the field.
  const accept = [OCI_MANIFEST, OCI_INDEX];

  const got = await askRaw(url, { headers: { accept } });
  const head = await askRaw(url, { method: "HEAD", headers: { accept } });

  for (const { status, headers } of [got, head]) {
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      "content-type": OCI_MANIFEST,
      "content-length": String(bytes.length),
      "docker-content-digest": digest,
    });
  }
  expect(got.body.equals(bytes)).toBe(true);
  expect(new Set(accepted)).toEqual(new Set([`${OCI_MANIFEST}, ${OCI_INDEX}`]));
});

test("ranges and conditions are answered as the registry would", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const blob = randomBytes(300_000);
  const digest = registry.add(blob);
  const url = `${mirror.url}/v2/team/app/blobs/${digest}`;
  const ask = (headers: http.OutgoingHttpHeaders) => askRaw(url, { headers });

  const middle = await ask({ range: "bytes=1000-1999" });
  const rest = await ask({ range: "bytes=299000-" });
  const suffix = await ask({ range: "bytes=-5" });
  const beyond = await ask({ range: "bytes=300000-" });
  const several = await ask({ range: "bytes=0-1,5-6" });
  const same = await ask({ "if-none-match": `W/"other", "${digest}"` });
  const resumed = await ask({ range: "bytes=299990-", "if-range": `"${digest}"` });
  const lost = await ask({ range: "bytes=299990-", "if-range": '"other"' });

  expect(middle.status).toBe(206);
  expect(middle.headers["content-range"]).toBe("bytes 1000-1999/300000");
  expect(middle.headers["content-length"]).toBe("1000");
  expect(middle.body.equals(blob.subarray(1000, 2000))).toBe(true);
  expect(rest.body.equals(blob.subarray(299_000))).toBe(true);
  expect(suffix.body.equals(blob.subarray(-5))).toBe(true);
  expect(beyond.status).toBe(416);
  expect(beyond.headers["content-range"]).toBe("bytes */300000");
  expect([several.status, several.body.length]).toEqual([200, blob.length]);
  expect([same.status, same.body.length]).toEqual([304, 0]);
  expect([resumed.status, resumed.body.length]).toEqual([206, 10]);
  expect([lost.status, lost.body.length]).toEqual([200, blob.length]);
});

test("the registry is the one that path, ns or header name, and its name comes back", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups, {
    registries: { defaultRegistry: "default.invalid" },
  });
  const digest = registry.add(randomBytes(100));
  const path = `/team/app/blobs/${digest}`;

  const answers = [
    await askRaw(`${mirror.url}/v2/${registry.host}${path}`),
    await askRaw(`${mirror.url}/v2${path}?ns=${registry.host}`),
    await askRaw(`${mirror.url}/v2${path}`, { headers: { "x-dragonfly-registry": registry.url } }),
  ];

  for (const { status, headers } of answers) {
    expect(status).toBe(200);
    expect(headers["oci-namespace"]).toBe(registry.host);
  }
  expect(registry.requests.every(({ path }) => path === `/v2/team/app/blobs/${digest}`)).toBe(true);
});

test("a repository called like a host is asked for at the registry that its engine names", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups, {
    registries: { defaultRegistry: "default.invalid" },
  });
  const digest = addManifest(registry, manifestBytes());
  registry.tags.set("my.team/app:latest", digest);
  const path = `/v2/my.team/app/manifests/latest?ns=${registry.host}`;

  const { status, headers } = await askRaw(`${mirror.url}${path}`, {
    headers: { "user-agent": "containerd/1.6.20" },
  });

  expect(status).toBe(200);
  expect(headers).toMatchObject({
    "docker-content-digest": digest,
    "oci-namespace": registry.host,
  });
});

test("T-27: a registry that is not allowed is not asked", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups, {
    registries: { allow: ["only.example"] },
  });
  const digest = registry.add(randomBytes(100));

  for (const path of [`blobs/${digest}`, `manifests/${digest}`, "manifests/latest", "tags/list"]) {
    const answer = await askRaw(`${mirror.url}/v2/team/app/${path}`);
    expect(answer.status).toBe(403);
    expect(errorOf(answer).code).toBe("DENIED");
  }
  expect(registry.requests).toEqual([]);
});

test("what is no pull is refused with the methods that there are", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const digest = digestOf(randomBytes(10));

  for (const [method, path] of [
    ["POST", "/v2/team/app/blobs/uploads/"],
    ["PUT", "/v2/team/app/manifests/latest"],
    ["PATCH", "/v2/team/app/blobs/uploads/1"],
    ["DELETE", `/v2/team/app/manifests/${digest}`],
    ["OPTIONS", "/v2/"],
    ["GET", "/v2/_catalog"],
  ] as const) {
    const answer = await askRaw(`${mirror.url}${path}`, {
      method,
      ...(method === "GET" ? {} : { body: "some bytes" }),
    });
    expect([method, path, answer.status]).toEqual([method, path, 405]);
    expect(answer.headers.allow).toBe("GET, HEAD");
    expect(errorOf(answer).code).toBe("UNSUPPORTED");
  }
  expect(registry.requests).toEqual([]);
});

test.each([
  ["/v2/Team/app/manifests/1", 400, "NAME_INVALID"],
  ["/v2/team/app/blobs/sha256:123", 400, "DIGEST_INVALID"],
  ["/v2/team/app/manifests/.tag", 404, "MANIFEST_UNKNOWN"],
  ["/v2/team/app/manifests/1?ns=a%20b", 400, "NAME_INVALID"],
  ["/index.html", 404, "UNSUPPORTED"],
] as const)("%s is %d %s", async (path, status, code) => {
  const { registry, mirror } = await mirrorFixture(cleanups);

  const answer = await askRaw(`${mirror.url}${path}`);

  expect([answer.status, errorOf(answer).code]).toEqual([status, code]);
  expect(registry.requests).toEqual([]);
});

test("a list of tags is the registry's own, and its next page is found at the mirror", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups, {
    registries: { defaultRegistry: "default.invalid" },
  });
  registry.instead = ({ url = "" }, response) => {
    if (!url.includes("/tags/list")) return false;
    const isFirst = !url.includes("last=");
    const link = { link: `<${registry.url}/v2/team/app/tags/list?last=b&n=2>; rel="next"` };
    const tags = isFirst ? ["a", "b"] : ["c"];
    return json(response, 200, { name: "team/app", tags }, isFirst ? link : {});
  };
  const nextOf = ({ headers }: { headers: http.IncomingHttpHeaders }) =>
    /^<([^>]*)>; rel="next"$/.exec(String(headers["link"]))?.[1];

  for (const path of [
    `/v2/${registry.host}/team/app/tags/list?n=2`,
    `/v2/team/app/tags/list?n=2&ns=${registry.host}`,
  ]) {
    const first = await askRaw(`${mirror.url}${path}`);
    const second = await askRaw(`${mirror.url}${nextOf(first)}`);

    expect(JSON.parse(first.body.toString())).toEqual({ name: "team/app", tags: ["a", "b"] });
    expect(JSON.parse(second.body.toString())).toEqual({ name: "team/app", tags: ["c"] });
    expect(second.headers["link"]).toBeUndefined();
  }
  expect(registry.requests.map(({ path }) => path)).toEqual([
    "/v2/team/app/tags/list?n=2",
    "/v2/team/app/tags/list?last=b&n=2",
    "/v2/team/app/tags/list?n=2",
    "/v2/team/app/tags/list?last=b&n=2",
  ]);
});

test("referrers are passed through with their filter, and so is that there are none", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const digest = registry.add(manifestBytes());
  registry.instead = ({ url = "" }, response) => {
    if (!url.includes("/referrers/")) return false;
    if (!url.includes("artifactType")) return json(response, 404, { errors: [] });
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] };
    return json(response, 200, index, {
      "content-type": OCI_INDEX,
      "oci-filters-applied": "artifactType",
    });
  };
  const url = `${mirror.url}/v2/team/app/referrers/${digest}`;

  const found = await askRaw(`${url}?artifactType=application%2Fspdx`);
  const none = await askRaw(url);

  expect(found.status).toBe(200);
  expect(found.headers).toMatchObject({
    "content-type": OCI_INDEX,
    "oci-filters-applied": "artifactType",
  });
  expect(registry.requests[0]!.path).toEndWith("?artifactType=application%2Fspdx");
  expect(none.status).toBe(404);
});

// The field was dropped: who asked took the first page for all of them, also signatures.
test("further referrers are found at the mirror", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups, {
    registries: { defaultRegistry: "default.invalid" },
  });
  const digest = registry.add(manifestBytes());
  const path = `/v2/team/app/referrers/${digest}`;
  registry.instead = ({ url = "" }, response) => {
    if (!url.includes("/referrers/")) return false;
    const link = { link: `<${path}?page=2>; rel="next"` };
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] };
    return json(response, 200, index, url.includes("page=2") ? {} : link);
  };

  const byPath = await askRaw(`${mirror.url}${path.replace("/v2", `/v2/${registry.host}`)}`);
  const byQuery = await askRaw(`${mirror.url}${path}?ns=${registry.host}`);

  const ns = encodeURIComponent(registry.host);
  expect(byPath.headers["link"]).toBe(
    `</v2/${registry.host}/team/app/referrers/${digest}?page=2>; rel="next"`,
  );
  expect(byQuery.headers["link"]).toBe(`<${path}?page=2&ns=${ns}>; rel="next"`);
});

test("the registry's own answer survives: status, fields and challenge, but nothing of one hop", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const challenges = ['Bearer realm="https://auth.example/token",service="s"', 'Basic realm="r"'];
  registry.instead = (_request, response) => {
    response.writeHead(401, [
      ...["WWW-Authenticate", challenges[0]!, "WWW-Authenticate", challenges[1]!],
      ...["Content-Type", "application/json", "X-Own", "kept", "Retry-After", "7"],
      ...["Connection", "close, X-Hop", "X-Hop", "gone", "Keep-Alive", "timeout=3"],
    ]);
    response.end('{"errors":[]}');
    return true;
  };

  for (const path of [`/v2/?ns=${registry.host}`, "/v2/", "/v2/team/app/tags/list"]) {
    const { status, headers, rawHeaders, body } = await askRaw(`${mirror.url}${path}`);

    expect(status).toBe(401);
    const named = rawHeaders.filter(
      (_, i) => i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === "www-authenticate",
    );
    expect(named).toEqual(challenges);
    expect(headers).toMatchObject({ "x-own": "kept", "retry-after": "7" });
    expect(headers["x-hop"]).toBeUndefined();
    expect(headers["keep-alive"]).toBeUndefined();
    expect(body.toString()).toBe('{"errors":[]}');
  }
});

test("who names a registry in each path, or whose registry is down, is greeted by the mirror itself", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  registry.instead = (_request, response) => {
    response.writeHead(401, { "www-authenticate": 'Bearer realm="x"' }).end();
    return true;
  };

  const podman = await askRaw(`${mirror.url}/v2/`, { headers: { "user-agent": "libpod/4.3.1" } });
  const shown = await askRaw(`${mirror.url}/v2/`, {
    headers: { "user-agent": "libpod/4.3.1", authorization: "Basic Og==" },
  });
  const docker = await askRaw(`${mirror.url}/v2/`, { headers: { "user-agent": "docker/20.10" } });
  await registry.stop();
  const down = await askRaw(`${mirror.url}/v2/`, { headers: { "user-agent": "docker/20.10" } });
  const named = await askRaw(`${mirror.url}/v2/?ns=${registry.host}`);

  expect([podman.status, podman.headers["www-authenticate"]]).toEqual([
    401,
    'Basic realm="registry mirror"',
  ]);
  expect([shown.status, docker.status, down.status]).toEqual([200, 401, 200]);
  expect(docker.headers["www-authenticate"]).toBe('Bearer realm="x"');
  expect(down.headers["docker-distribution-api-version"]).toBe("registry/2.0");
  expect(named.status).toBe(502);
});

// Its first question was refused with the default registry, and the mirror left out for all that are allowed.
test("podman is greeted also where the default registry is not allowed, and nothing else is asked there", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups, {
    registries: { defaultRegistry: "docker.io", allow: ["127.0.0.1"] },
  });
  const digest = registry.add(randomBytes(1000));
  const podman = { "user-agent": "libpod/4.3.1", authorization: "Basic Og==" };
  const path = `/v2/${registry.host.replace(":", "_")}/team/app/blobs/${digest}`;

  const greeting = await askRaw(`${mirror.url}/v2/`, { headers: podman });
  const blob = await askRaw(`${mirror.url}${path}`, { headers: podman });
  const other = await askRaw(`${mirror.url}/v2/library/app/blobs/${digest}`, { headers: podman });
  const docker = await askRaw(`${mirror.url}/v2/`, { headers: { "user-agent": "docker/20.10" } });

  expect([greeting.status, blob.status, other.status, docker.status]).toEqual([200, 200, 403, 403]);
});

test("an empty name with an empty password is nobody's: such a request is everybody's", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const digest = registry.add(randomBytes(1000));
  registry.refuses = ({ headers }) => (headers.authorization === undefined ? undefined : 401);
  const headers = { authorization: "Basic Og==" };

  const swarm = await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`, { headers });
  const passed = await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`, {
    method: "HEAD",
    headers,
  });

  expect([swarm.status, passed.status]).toEqual([200, 200]);
});

test("digests of other algorithms are the registry's affair alone", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const digest = `sha512:${"ab".repeat(64)}`;
  registry.contents.set(digest, Buffer.from("something"));

  const answer = await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`);

  expect([answer.status, answer.body.toString()]).toEqual([200, "something"]);
  expect(mirror.peer.status().store.contents).toBe(0);
});

test("each request of an engine is told to who wants to know, with what came of it", async () => {
  const notices: string[] = [];
  const { registry, mirror } = await mirrorFixture(cleanups, {
    peer: { onNotice: (message) => notices.push(message) },
  });
  const digest = registry.add(randomBytes(1000));

  await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}?ns=${registry.host}`);
  await askRaw(`${mirror.url}/v2/team/app/manifests/none`);
  await askRaw(`${mirror.url}/v2/`, { method: "POST" });

  const place = `of ${registry.host}`;
  expect(notices).toEqual([
    `GET /v2/team/app/blobs/${digest} ${place}: swarm`,
    expect.stringMatching(
      new RegExp(`^GET /v2/team/app/manifests/none ${place}: failed: .* answered 404$`),
    ),
    expect.stringContaining("POST /v2/: mirror: a mirror only answers pulls"),
  ]);
});

test("status and metrics tell of the port and of what went through it", async () => {
  const { registry, mirror } = await mirrorFixture(cleanups);
  const digest = registry.add(randomBytes(1000));
  await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`);
  await askRaw(`${mirror.url}/v2/team/app/blobs/${digest}`, { method: "HEAD" });
  await askRaw(`${mirror.url}/v2/team/app/blobs/${digestOf(Buffer.from("x"))}`);
  await askRaw(`${mirror.url}/v2/`, { method: "POST" });

  const health = await mirror.peer.health();
  const metrics = await (await health.request("/metrics")).text();

  const { proxy } = mirror.peer.status();
  expect(proxy).toEqual({
    listen: mirror.address,
    requests: { swarm: 1, registry: 1, mirror: 1, failed: 1, left: 0 },
    bytes: { swarm: 1000, registry: 0 },
    forwards: { swarm: 0, missed: 0, target: 0, failed: 0 },
  });
  expect(describePeer(mirror.peer.status())).toContain(
    `proxy on ${mirror.address}: 1 answered from the swarm (1.0 kB), 1 by registries (0 B), 1 failed`,
  );
  for (const line of [
    'dragonfly_mirror_requests_total{result="swarm"} 1',
    'dragonfly_mirror_requests_total{result="registry"} 1',
    'dragonfly_mirror_requests_total{result="failed"} 1',
    'dragonfly_mirror_requests_total{result="mirror"} 1',
    'dragonfly_mirror_requests_total{result="left"} 0',
    'dragonfly_mirror_bytes_total{from="swarm"} 1000',
  ]) {
    expect(metrics).toContain(line);
  }
});
