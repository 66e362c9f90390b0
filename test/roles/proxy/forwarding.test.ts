// What goes through the proxy's port to somewhere else: by rules to the swarm, or to its target, plain or within
// TLS that is opened here. A real peer, real sources.

import { afterEach, expect, test } from "bun:test";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { connect, type AddressInfo, type Socket } from "node:net";
import { Readable } from "node:stream";
import tls from "node:tls";
import { certificateAuthority } from "../../fixtures/certificate-authority.ts";
import { Cleanups, randomBytes } from "../peer-fixture.ts";
import { answerTo, type ForwardFixture, forwardFixture, statusOf } from "./forward-fixture.ts";

const MIB = 1 << 20;

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

interface Source {
  readonly port: number;
  readonly url: string;
  /** "METHOD /path" with a mark for Range, in order. */
  readonly requests: string[];
  readonly headers: IncomingMessage["headers"][];
  fields: Record<string, string>;
  /** Authorization that must be shown; null: none. */
  wants: string | null;
  status: number;
}

/** A source of one content under every path, which gives ranges. */
async function source(data: Buffer, certificate?: { cert: string; key: string }): Promise<Source> {
  const answer: RequestListener = (request, response) => {
    const { method, url = "", headers } = request;
    state.requests.push(`${method} ${url}`);
    state.headers.push(headers);
    if (state.wants !== null && headers.authorization !== state.wants) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="source"' }).end("who are you?");
      return;
    }
    if (state.status !== 200) return void response.writeHead(state.status).end("trouble");
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "");
    const from = Number(range?.[1] ?? 0);
    const to = Math.min(range?.[2] ? Number(range[2]) + 1 : data.length, data.length);
    const part = data.subarray(from, to);
    response.writeHead(range === null ? 200 : 206, {
      ...{ "content-length": part.length, "accept-ranges": "bytes", etag: '"v1"' },
      ...(range === null ? {} : { "content-range": `bytes ${from}-${to - 1}/${data.length}` }),
      ...state.fields,
    });
    request.resume();
    if (method === "HEAD") response.end();
    else Readable.from(chunksOf(part)).pipe(response);
  };
  const server =
    certificate === undefined ? createServer(answer) : createTlsServer(certificate, answer);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  cleanups.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const origin =
    certificate === undefined ? `http://127.0.0.1:${port}` : `https://localhost:${port}`;
  const state: Source = {
    ...{ port, url: `${origin}/files/big.bin`, requests: [], headers: [], fields: {} },
    ...{ wants: null, status: 200 },
  };
  return state;
}

/** What a reader has not taken stays here, so that its memory is not counted twice. */
function* chunksOf(data: Buffer): Generator<Buffer> {
  for (let at = 0; at < data.length; at += 65_536) yield data.subarray(at, at + 65_536);
}

function ask(
  proxy: ForwardFixture,
  url: string,
  init: BunFetchRequestInit = {},
): Promise<Response> {
  return fetch(url, { proxy: proxy.url, redirect: "manual", ...init });
}

async function bytesOf(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

test("a file that a rule gives to the swarm is read at its source once, and keeps what was said of it", async () => {
  const data = randomBytes(3 * MIB);
  const files = await source(data);
  files.fields = {
    "content-type": "application/x-thing; v=1",
    "last-modified": "Sun, 01 Nov 2026 10:00:00 GMT",
    "cache-control": "max-age=600",
    "content-disposition": 'attachment; filename="big.bin"',
  };
  const proxy = await forwardFixture(cleanups, {
    rules: [`127.0.0.1:${files.port}/files/*.bin=swarm`],
  });

  const first = await ask(proxy, files.url);
  expect((await bytesOf(first)).equals(data)).toBe(true);
  expect(Object.fromEntries(first.headers)).toMatchObject({
    ...files.fields,
    ...{ etag: '"v1"', "content-length": String(data.length), "accept-ranges": "bytes" },
  });
  expect(first.headers.get("via")).toContain("df-");
  const reads = files.requests.length;

  const others = await Promise.all(
    Array.from({ length: 5 }, async () => bytesOf(await ask(proxy, files.url))),
  );
  const part = await ask(proxy, files.url, { headers: { range: "bytes=1048570-2097155" } });
  const end = await ask(proxy, files.url, { headers: { range: "bytes=-10" } });
  const beyond = await ask(proxy, files.url, { headers: { range: `bytes=${data.length}-` } });

  expect(others.every((bytes) => bytes.equals(data))).toBe(true);
  expect(part.status).toBe(206);
  expect(part.headers.get("content-range")).toBe(`bytes 1048570-2097155/${data.length}`);
  expect((await bytesOf(part)).equals(data.subarray(1_048_570, 2_097_156))).toBe(true);
  expect((await bytesOf(end)).equals(data.subarray(-10))).toBe(true);
  expect(beyond.status).toBe(416);
  expect(files.requests).toHaveLength(reads);
});

test("what no rule names, and what is more than a plain read, goes to its target as it is", async () => {
  const data = randomBytes(1_000);
  const files = await source(data);
  const proxy = await forwardFixture(cleanups, { rules: [`127.0.0.1:${files.port}/files/=swarm`] });
  const other = `http://127.0.0.1:${files.port}/other`;

  await bytesOf(await ask(proxy, other));
  await bytesOf(await ask(proxy, files.url, { method: "POST", body: "x" }));
  await bytesOf(await ask(proxy, files.url, { headers: { "if-none-match": '"v0"' } }));
  await ask(proxy, files.url, { method: "HEAD" });

  expect(files.requests).toEqual([
    ...["GET /other", "POST /files/big.bin", "GET /files/big.bin", "HEAD /files/big.bin"],
  ]);
  expect(files.headers.every(({ via }) => via?.includes("df-") === true)).toBe(true);
});

// A rule that led nothing to the swarm looked like one that did.
test("what came of a rule is counted: the swarm, its target all the same, or nothing", async () => {
  const files = await source(randomBytes(1_000));
  const proxy = await forwardFixture(cleanups, {
    rules: [`127.0.0.1:${files.port}/files/*=swarm`],
  });

  await bytesOf(await ask(proxy, files.url));
  await bytesOf(await ask(proxy, files.url, { headers: { "if-none-match": '"v0"' } }));
  await bytesOf(await ask(proxy, files.url.replace("/files/", "/other/")));
  files.status = 404;
  await bytesOf(await ask(proxy, `${files.url}.sig`));

  expect(proxy.forwards).toEqual({ swarm: 1, missed: 1, target: 1, failed: 1 });
});

test("whoever shows credentials gets what his source gives him, and nobody else does", async () => {
  const data = randomBytes(100_000);
  const files = await source(data);
  files.wants = "Basic bWU6c2VjcmV0";
  const proxy = await forwardFixture(cleanups, { rules: ["127.0.0.1=swarm"] });

  const mine = await ask(proxy, files.url, { headers: { authorization: files.wants } });
  const others = await ask(proxy, files.url);

  expect((await bytesOf(mine)).equals(data)).toBe(true);
  expect(others.status).toBe(401);
  expect(others.headers.get("www-authenticate")).toBe('Basic realm="source"');
  expect(await others.text()).toBe("who are you?");
});

test("bytes that a source chooses by a field go only to who sent it", async () => {
  const data = randomBytes(1_000);
  const files = await source(data);
  files.fields = { vary: "Accept-Encoding, Accept-Language" };
  const proxy = await forwardFixture(cleanups, { rules: ["127.0.0.1=swarm"] });

  await bytesOf(await ask(proxy, files.url, { headers: { "accept-language": "de" } }));

  expect(files.headers.at(-1)?.["accept-language"]).toBe("de");
});

test("a file that is missing is missing for the client, with the source's status", async () => {
  const files = await source(randomBytes(10));
  files.status = 404;
  const proxy = await forwardFixture(cleanups, { rules: ["127.0.0.1=swarm"] });

  const answer = await ask(proxy, files.url);

  expect(answer.status).toBe(404);
});

test("a rule leads a request elsewhere, and the client does not notice", async () => {
  const data = randomBytes(10_000);
  const mirror = await source(data);
  const rule = `old.test/pool/=rewrite=http://127.0.0.1:${mirror.port}/archive/`;
  const proxy = await forwardFixture(cleanups, { rules: [rule] });

  const answer = await ask(proxy, "http://old.test/pool/main/a.deb");

  expect((await bytesOf(answer)).equals(data)).toBe(true);
  expect(mirror.requests).toContain("GET /archive/main/a.deb");
});

test("a tunnel brings the bytes of the target itself, with its own certificate", async () => {
  const authority = await certificateAuthority();
  const data = randomBytes(MIB);
  const secure = await source(data, await authority.issue());
  const proxy = await forwardFixture(cleanups, { allow: [`localhost:${secure.port}`] });

  const answer = await ask(proxy, secure.url, { tls: { ca: authority.ca } });

  expect((await bytesOf(answer)).equals(data)).toBe(true);
  expect(answer.headers.get("via")).toBeNull();
});

test("a tunnel of a named host is opened by the proxy's CA, and its files come from the swarm", async () => {
  const authority = await certificateAuthority();
  const data = randomBytes(2 * MIB);
  const secure = await source(data, await authority.issue());
  secure.fields = { "cache-control": "max-age=600" };
  const proxy = await forwardFixture(cleanups, {
    ...{ sourceCa: authority.ca, intercept: [`localhost:${secure.port}`] },
    rules: ["localhost/files/=swarm"],
  });
  const trust = { tls: { ca: proxy.ca() } };

  const first = await ask(proxy, secure.url, trust);
  expect((await bytesOf(first)).equals(data)).toBe(true);
  expect(first.headers.get("etag")).toBe('"v1"');
  const reads = secure.requests.length;
  const part = await ask(proxy, secure.url, { ...trust, headers: { range: "bytes=5-9" } });
  expect(part.status).toBe(206);
  expect((await bytesOf(part)).equals(data.subarray(5, 10))).toBe(true);
  expect(secure.requests).toHaveLength(reads);

  await bytesOf(await ask(proxy, secure.url, { ...trust, method: "PUT", body: "new" }));
  expect(secure.requests.at(-1)).toBe("PUT /files/big.bin");
});

test("T-20: a target whose certificate does not verify is not asked, whatever the client would accept", async () => {
  const authority = await certificateAuthority();
  const wrong = await authority.issue({ names: ["other.test"] });
  const secure = await source(randomBytes(10), wrong);
  const proxy = await forwardFixture(cleanups, {
    ...{ sourceCa: authority.ca, intercept: [`localhost:${secure.port}`] },
    rules: ["localhost/files/=swarm"],
  });

  for (const path of ["/files/big.bin", "/else"]) {
    const answer = await ask(proxy, `https://localhost:${secure.port}${path}`, {
      tls: { rejectUnauthorized: false },
    });
    expect(answer.status).toBe(502);
  }
  expect(secure.requests).toEqual([]);
});

test("within an opened tunnel there is one host: another name, and another tunnel, are refused", async () => {
  const authority = await certificateAuthority();
  const secure = await source(randomBytes(10), await authority.issue());
  const proxy = await forwardFixture(cleanups, {
    ...{ sourceCa: authority.ca, intercept: ["localhost", `localhost:${secure.port}`] },
  });
  const within = async (request: string, port = secure.port): Promise<string> => {
    const plain = connect(proxy.port, "127.0.0.1");
    plain.write(`CONNECT localhost:${port} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await new Promise<void>((resolve) => plain.once("data", () => resolve()));
    const socket = tls.connect({ socket: plain, ca: proxy.ca(), servername: "localhost" });
    cleanups.defer(() => void socket.destroy());
    let answer = "";
    socket.on("data", (data) => (answer += data.toString()));
    socket.write(request);
    await new Promise<void>((resolve) => {
      socket.once("close", () => resolve());
      setTimeout(resolve, 1_500);
    });
    return answer;
  };

  const other = await within("GET / HTTP/1.1\r\nHost: bank.test\r\nConnection: close\r\n\r\n");
  const nested = await within(`CONNECT localhost:${secure.port} HTTP/1.1\r\nHost: a\r\n\r\n`);
  const right = await within(
    `GET /x HTTP/1.1\r\nHost: localhost:${secure.port}\r\nConnection: close\r\n\r\n`,
  );
  // Behind "https://localhost" it would be another host.
  const longer = "GET ly://a/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

  expect([other, nested, right].map(statusOf)).toEqual([421, 400, 200]);
  expect(statusOf(await within(longer, 443))).toBe(400);
  expect(secure.requests).toEqual(["GET /x"]);
});

test("certificates of opened tunnels are the host's alone, of one key that is not the CA's", async () => {
  const authority = await certificateAuthority();
  const secure = await source(randomBytes(10), await authority.issue({ names: ["127.0.0.1"] }));
  const hosts = ["localhost", "127.0.0.1", "[::1]"].map((host) => `${host}:${secure.port}`);
  const proxy = await forwardFixture(cleanups, { intercept: ["*"], allow: hosts });
  const seen: tls.DetailedPeerCertificate[] = [];
  for (const host of hosts) {
    const plain = connect(proxy.port, "127.0.0.1");
    plain.write(`CONNECT ${host} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await new Promise<void>((resolve) => plain.once("data", () => resolve()));
    const name = new URL(`https://${host}`).hostname.replace(/^\[|\]$/g, "");
    const socket = tls.connect({ socket: plain, ca: proxy.ca(), host: name });
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve).once("error", reject);
    });
    seen.push(socket.getPeerCertificate(true));
    socket.destroy();
  }

  expect(seen.map(({ subjectaltname }) => subjectaltname)).toEqual([
    ...["DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1"],
  ]);
  expect(new Set(seen.map(({ pubkey }) => pubkey?.toString("hex"))).size).toBe(1);
});

test("a client that does not trust the CA is told of once, and gets nothing", async () => {
  const authority = await certificateAuthority();
  const secure = await source(randomBytes(10), await authority.issue());
  const proxy = await forwardFixture(cleanups, {
    ...{ sourceCa: authority.ca, intercept: [`localhost:${secure.port}`] },
  });

  for (let i = 0; i < 3; i++) {
    const answer = ask(proxy, secure.url, { tls: { ca: authority.ca } });
    expect(answer.then(({ status }) => status)).rejects.toThrow();
    await answer.catch(() => {});
  }

  expect(secure.requests).toEqual([]);
  expect(proxy.warnings.filter((text) => text.includes("localhost"))).toHaveLength(1);
});

test("another protocol on a connection passes, when its target agrees", async () => {
  const server = createServer((_request, response) => response.writeHead(426).end("no"));
  server.on("upgrade", (request, socket) => {
    socket.on("error", () => {});
    if (request.headers["x-agree"] !== "yes") {
      return void socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnot!");
    }
    socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ",
    );
    socket.on("data", (data) => void socket.write(data));
    socket.on("end", () => socket.end());
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  cleanups.defer(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const proxy = await forwardFixture(cleanups);
  const head = (fields: string): string =>
    `GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n${fields}\r\n`;

  const agreed = await answerTo(proxy.port, `${head("X-Agree: yes\r\n")}world`, 500);
  const refused = await answerTo(proxy.port, head(""), 500);

  expect(statusOf(agreed)).toBe(101);
  expect(agreed.endsWith("hello world")).toBe(true);
  expect(statusOf(refused)).toBe(403);
  expect(refused.endsWith("not!")).toBe(true);
});

test("a target that does not know the other protocol is answered from as ever, whole", async () => {
  const data = randomBytes(3 * MIB);
  const fields: IncomingMessage["headers"][] = [];
  const server = createServer((request, response) => {
    fields.push(request.headers);
    if (request.url === "/length") response.setHeader("content-length", data.length);
    Readable.from(chunksOf(data)).pipe(response);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  cleanups.defer(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const proxy = await forwardFixture(cleanups);
  const curl = async (path: string): Promise<Buffer> => {
    const url = `http://127.0.0.1:${port}${path}`;
    const command = ["curl", "-s", "--noproxy", "", "--http2", "--proxy", proxy.url, url];
    const child = Bun.spawn(command, { stdout: "pipe" });
    return Buffer.from(await new Response(child.stdout).arrayBuffer());
  };

  expect((await curl("/length")).equals(data)).toBe(true);
  expect((await curl("/chunks")).equals(data)).toBe(true);
  expect(
    fields.every((one) => one.upgrade === undefined && one["http2-settings"] === undefined),
  ).toBe(true);

  const head = `GET http://127.0.0.1:${port}/length HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n`;
  const answer = await answerTo(proxy.port, `${head}\r\n`);
  expect(Buffer.from(answer.slice(answer.indexOf("\r\n\r\n") + 4), "latin1").equals(data)).toBe(
    true,
  );
  expect(statusOf(await answerTo(proxy.port, `${head}Content-Length: 1\r\n\r\n.`))).toBe(400);
});

test("an answer that breaks off at its target breaks off at the client", async () => {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-length": "1000000" });
    response.write(Buffer.alloc(1000), () => response.destroy());
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  cleanups.defer(() => void server.close());
  const proxy = await forwardFixture(cleanups);

  const { port } = server.address() as AddressInfo;
  const answer = ask(proxy, `http://127.0.0.1:${port}/`).then(bytesOf);

  expect(await answer.catch((error: unknown) => error)).toBeInstanceOf(Error);
});

test("a client that leaves ends what its target was asked for, and frees its place there", async () => {
  const asked = { open: 0, total: 0 };
  const server = createServer((_request, response) => {
    asked.open++;
    asked.total++;
    response.once("close", () => asked.open--);
    // A place more than the proxy has at one target is asked for in all.
    if (asked.total > 64) response.end("at last");
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  cleanups.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const proxy = await forwardFixture(cleanups);
  const left = Array.from({ length: 64 }, () => {
    const socket = connect(proxy.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(`GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: a\r\n\r\n`);
    return socket;
  });
  while (asked.total < 64) await Bun.sleep(10);

  const last = ask(proxy, `http://127.0.0.1:${port}/`).then((response) => response.text());
  for (const socket of left) socket.destroy();

  expect(await last).toBe("at last");
  while (asked.open > 0) await Bun.sleep(10);
});

test("a client's requests on one connection share connections to their target, two clients' do not", async () => {
  const connections = new Set<unknown>();
  const server = createServer((request, response) => {
    connections.add(request.socket);
    response.end("ok");
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  cleanups.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const proxy = await forwardFixture(cleanups);
  const head = `GET http://127.0.0.1:${(server.address() as AddressInfo).port}/ HTTP/1.1\r\nHost: a\r\n`;

  const client = async (): Promise<string> => {
    const socket = connect(proxy.port, "127.0.0.1");
    cleanups.defer(() => void socket.destroy());
    let answers = "";
    socket.on("data", (data) => (answers += data.toString()));
    for (let i = 1; i <= 3; i++) {
      socket.write(`${head}\r\n`);
      while ((answers.match(/ok/g) ?? []).length < i) await Bun.sleep(5);
    }
    return answers;
  };
  await client();
  expect(connections.size).toBe(1);
  await client();
  expect(connections.size).toBe(2);
});

test("T-29: readers that stall hold up their targets, not the memory: forwarded, opened and from the swarm", async () => {
  const authority = await certificateAuthority();
  const data = randomBytes(96 * MIB);
  const [plain, secure] = [await source(data), await source(data, await authority.issue())];
  const proxy = await forwardFixture(cleanups, {
    ...{ sourceCa: authority.ca, intercept: [`localhost:${secure.port}`] },
    rules: [`127.0.0.1:${plain.port}/files/=swarm`],
  });
  await bytesOf(await ask(proxy, plain.url));
  Bun.gc(true);
  const before = process.memoryUsage.rss();

  const stalled = (socket: Socket): void => {
    socket.on("error", () => {});
    cleanups.defer(() => void socket.destroy());
  };
  for (let i = 0; i < 5; i++) {
    for (const url of [plain.url, `http://127.0.0.1:${plain.port}/other`]) {
      const socket = connect(proxy.port, "127.0.0.1");
      stalled(socket);
      socket.write(`GET ${url} HTTP/1.1\r\nHost: a\r\n\r\n`);
    }
    const host = `localhost:${secure.port}`;
    const opened = connect(proxy.port, "127.0.0.1");
    opened.write(`CONNECT ${host} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await new Promise<void>((resolve) => opened.once("data", () => resolve()));
    const socket = tls.connect({ socket: opened, ca: proxy.ca(), servername: "localhost" });
    stalled(socket);
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  }
  await Bun.sleep(2_000);

  // Each of the fifteen has buffers of the client's, of its two sockets and of TLS: some MiB.
  expect((process.memoryUsage.rss() - before) / MIB).toBeLessThan(192);
}, 60_000);

test("T-36: a browser's page gets nothing from the port itself, under whatever name it asks", async () => {
  const asked = await source(randomBytes(10));
  const proxy = await forwardFixture(cleanups);
  const path = `/v2/127.0.0.1_${asked.port}/team/app/tags/list`;
  const get = async (fields: string): Promise<number> =>
    statusOf(await answerTo(proxy.port, `GET ${path} HTTP/1.1\r\n${fields}\r\n\r\n`, 300));
  const own = `Host: 127.0.0.1:${proxy.port}`;

  expect(await get(`Host: rebound.test:${proxy.port}`)).toBe(421);
  expect(await get("Host: 127.0.0.1.rebound.test")).toBe(421);
  expect(await get(`Host: 0.0.0.0:${proxy.port}`)).toBe(421);
  expect(await get(`${own}\r\nOrigin: https://page.test`)).toBe(403);
  expect(await get(`${own}\r\nSec-Fetch-Site: cross-site`)).toBe(403);
  expect(asked.requests).toEqual([]);

  for (const host of [own, "Host: localhost:1", "Host: [::1]:65001", "Host: 10.0.0.7"]) {
    expect(await get(host)).toBe(200);
  }
});

test("T-27: where others reach the port, the mirror asks no registry but the targets that were named", async () => {
  const asked = await source(randomBytes(10));
  const path = `/v2/127.0.0.1_${asked.port}/team/app/tags/list`;
  const statusWith = async (allow: string): Promise<number> => {
    const proxy = await forwardFixture(cleanups, { hostname: "0.0.0.0", allow: [allow] });
    return (await fetch(`${proxy.url}${path}`)).status;
  };

  expect(await statusWith("files.test")).toBe(403);
  expect(asked.requests).toEqual([]);
  expect(await statusWith(`127.0.0.1:${asked.port}`)).toBe(200);
});
