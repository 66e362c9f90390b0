// `df get` through a peer that does what a test wants: dies, changes its mind, lies.

import { expect, test } from "bun:test";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  CountingSource,
  randomPayload,
  sha256Hex,
  sha256HexOfFile,
} from "../../bench/harness/counting-source.ts";
import { Session } from "../../bench/harness/session.ts";
import type { DownloadStreamEvent } from "../../src/net/wire/local-api.ts";
import {
  contentEvent,
  md5Hex,
  progressEvent,
  refuse,
  type ScriptedPeer,
  type ScriptedStream,
  startScriptedPeer,
} from "../fixtures/scripted-peer.ts";
import { type Finished, linesOf, runGet } from "./get-process.ts";

const URL = "http://files.example/file";
const ONE = "1".repeat(64);
const TWO = "2".repeat(64);

interface PeerRun {
  session: Session;
  peer: ScriptedPeer;
  get: (flags?: string[], url?: string) => Promise<Finished>;
}

function withPeer(
  script: (stream: ScriptedStream, number: number) => unknown,
  work: (run: PeerRun) => Promise<void>,
): Promise<void> {
  return Session.run("get", async (session) => {
    const socket = join(session.folder, "s");
    using peer = startScriptedPeer(socket, script);
    const get = (flags: string[] = [], url = URL) =>
      runGet(session, [url, "-o", "output", "--socket", socket, ...flags]);
    await work({ session, peer, get });
  });
}

function digestOfOutput(session: Session): Promise<string> {
  return sha256HexOfFile(join(session.folder, "output"));
}

function done(bytes: Uint8Array, extra: { md5?: string; inline?: string } = {}) {
  return {
    event: "done",
    length: bytes.length,
    md5: md5Hex(bytes),
    sha256: null,
    bytes: { source: 0, supernode: bytes.length, peers: 0, cache: 0 },
    wireBytes: bytes.length,
    ...extra,
  } satisfies DownloadStreamEvent;
}

test("bytes come over the socket when the data file cannot be read", async () => {
  const bytes = randomPayload(3_000_000);

  await withPeer(
    (stream) => stream.sendWhole(bytes, ONE),
    async ({ session, peer, get }) => {
      peer.contents.set(ONE, bytes);
      const finished = await get(["--json"]);

      expect(finished.exitCode).toBe(0);
      expect(await digestOfOutput(session)).toBe(sha256Hex(bytes));
      expect(linesOf(finished).at(-1)).toMatchObject({
        result: "ok",
        route: "swarm",
        bytes: { source: 0, supernode: 0, peers: bytes.length, cache: 0 },
        md5: md5Hex(bytes),
        sha256: sha256Hex(bytes),
      });
    },
  );
});

test("bytes come from the data file when it can be read", async () => {
  const bytes = randomPayload(3_000_000);

  await Session.run("get", async (session) => {
    const dataPath = join(session.folder, "data");
    await writeFile(dataPath, bytes);
    const socket = join(session.folder, "s");
    using _peer = startScriptedPeer(socket, (stream) => {
      stream.send({ ...contentEvent(ONE, bytes.length), dataPath } as DownloadStreamEvent);
      stream.send(progressEvent(1_000_000));
      stream.send(progressEvent(bytes.length));
      stream.send(done(bytes));
    });
    // No contents are served: over the socket this would fail.
    const { exitCode } = await runGet(session, [URL, "-o", "output", "--socket", socket]);

    expect(exitCode).toBe(0);
    expect(await digestOfOutput(session)).toBe(sha256Hex(bytes));
  });
});

test("the data file is read no further than it holds the content's own bytes", async () => {
  const bytes = randomPayload(3_000_000);
  const plainEnd = 1_000_000;

  await Session.run("get", async (session) => {
    const dataPath = join(session.folder, "data");
    // What is compressed or sealed looks like noise.
    const rest = randomPayload(bytes.length - plainEnd);
    await writeFile(dataPath, Buffer.concat([bytes.subarray(0, plainEnd), rest]));
    const socket = join(session.folder, "s");
    using peer = startScriptedPeer(socket, (stream) => {
      stream.send({ ...contentEvent(ONE, bytes.length), dataPath } as DownloadStreamEvent);
      stream.send(progressEvent(2_000_000, plainEnd));
      stream.send(progressEvent(bytes.length, plainEnd));
      stream.send(done(bytes));
    });
    peer.contents.set(ONE, bytes);
    const { exitCode } = await runGet(session, [URL, "-o", "output", "--socket", socket]);

    expect(exitCode).toBe(0);
    expect(await digestOfOutput(session)).toBe(sha256Hex(bytes));
  });
});

test("a version that is told anew is copied anew: its data file was written over", async () => {
  const bytes = randomPayload(3_000_000);

  await Session.run("get", async (session) => {
    const dataPath = join(session.folder, "data");
    await writeFile(dataPath, randomPayload(bytes.length));
    const socket = join(session.folder, "s");
    using peer = startScriptedPeer(socket, (stream) => {
      const content = { ...contentEvent(ONE, bytes.length), dataPath } as DownloadStreamEvent;
      stream.send(content);
      stream.send(progressEvent(1_000_000));
      stream.send({ ...content, isAnew: true } as DownloadStreamEvent);
      stream.send(progressEvent(bytes.length, 0));
      stream.send(done(bytes));
    });
    peer.contents.set(ONE, bytes);
    const { exitCode } = await runGet(session, [URL, "-o", "output", "--socket", socket]);

    expect(exitCode).toBe(0);
    expect(await digestOfOutput(session)).toBe(sha256Hex(bytes));
  });
});

test("a small content travels inside the last event", async () => {
  const bytes = randomPayload(1024);

  await withPeer(
    (stream, number) => {
      stream.send(contentEvent(ONE, bytes.length));
      // Told twice, written once: the copy over the socket and the inline bytes are the same.
      if (number === 1) stream.send(progressEvent(bytes.length));
      stream.send(done(bytes, { inline: bytes.toBase64() }));
    },
    async ({ session, peer, get }) => {
      peer.contents.set(ONE, bytes);
      expect((await get()).exitCode).toBe(0);
      expect((await get()).exitCode).toBe(0);
      expect(await digestOfOutput(session)).toBe(sha256Hex(bytes));
    },
  );
});

test("an empty content makes an empty file", async () => {
  await withPeer(
    (stream) => stream.sendWhole(new Uint8Array(), ONE),
    async ({ session, get }) => {
      expect((await get()).exitCode).toBe(0);
      expect(await Bun.file(join(session.folder, "output")).bytes()).toHaveLength(0);
    },
  );
});

test("what the request carries is what the user asked for", async () => {
  const bytes = randomPayload(10);

  await withPeer(
    (stream) => stream.sendWhole(bytes, ONE),
    async ({ peer, get }) => {
      peer.contents.set(ONE, bytes);
      await get([
        ...["--tag", "t", "--filter-query", "a,b", "--limit-rate", "1M", "--source", "supernode"],
        ...["-H", "X-Channel: beta", "--header-public", "x-channel", "--md5", md5Hex(bytes)],
      ]);

      expect(peer.requests[0]).toEqual({
        url: URL,
        headers: { "X-Channel": "beta" },
        tag: "t",
        filterQuery: ["a", "b"],
        limitRate: 1 << 20,
        source: "supernode",
        noOrigin: false,
        checksum: `md5:${md5Hex(bytes)}`,
      });
    },
  );
});

test("wrong bytes from the peer exit 9 and leave nothing", async () => {
  const bytes = randomPayload(100_000);

  await withPeer(
    (stream) => {
      stream.send(contentEvent(ONE, bytes.length));
      stream.send(done(bytes, { md5: md5Hex(randomPayload(5)) }));
    },
    async ({ session, peer, get }) => {
      peer.contents.set(ONE, bytes);
      expect((await get()).exitCode).toBe(9);
      expect((await readdir(session.folder)).filter((name) => name !== "s")).toEqual([]);
    },
  );
});

test("a source that changes in mid-transfer starts the output over", async () => {
  const bytes = randomPayload(500_000);

  await withPeer(
    (stream) => {
      stream.send(contentEvent(ONE, 300_000));
      stream.send(progressEvent(200_000));
      stream.sendWhole(bytes, TWO);
    },
    async ({ session, peer, get }) => {
      peer.contents.set(ONE, randomPayload(300_000)).set(TWO, bytes);
      const { exitCode, stderr } = await get();

      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
      expect(stderr).toContain("the source changed");
      expect(await digestOfOutput(session)).toBe(sha256Hex(bytes));
    },
  );
});

test("a source that keeps changing exits 13", async () => {
  await withPeer(
    (stream) => {
      for (const digit of "1234") stream.send(contentEvent(digit.repeat(64), 1000));
    },
    async ({ get }) => expect((await get()).exitCode).toBe(13),
  );
});

test("a peer that dies in mid-transfer is found again and the copy goes on", async () => {
  const bytes = randomPayload(500_000);

  await withPeer(
    (stream, number) => {
      if (number > 0) return stream.sendWhole(bytes, ONE);
      stream.send(contentEvent(ONE, bytes.length));
      stream.send(progressEvent(200_000));
      void stream.bytesAsked.then(() => stream.breakOff());
    },
    async ({ session, peer, get }) => {
      peer.contents.set(ONE, bytes);
      const { exitCode, stderr } = await get();

      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
      expect(await digestOfOutput(session)).toBe(sha256Hex(bytes));
    },
  );
});

test("a named socket behind which nobody answers exits 4 at once", async () => {
  await Session.run("get", async (session) => {
    const { exitCode, stderr } = await runGet(session, [URL, "--socket", "nobody"]);

    expect(exitCode).toBe(4);
    expect(stderr).toContain("df peer");
  });
});

test("a download during which nothing arrives exits 10", async () => {
  await withPeer(
    (stream) => stream.send(contentEvent(ONE, 1000)),
    async ({ get }) => expect((await get(["--timeout", "200ms"])).exitCode).toBe(10),
  );
});

test("the peer's error keeps its exit code and hint", async () => {
  await withPeer(
    (stream) =>
      stream.send({
        event: "failed",
        error: { code: "source-not-found", message: "read it: 404", hint: "check the URL" },
      }),
    async ({ get }) => {
      const { exitCode, stderr } = await get();

      expect(exitCode).toBe(8);
      expect(stderr).toBe("error: read it: 404\nhint: check the URL\n");
    },
  );
});

test("what the peer may not share is read from the source, unless that is forbidden", async () => {
  const bytes = randomPayload(1000);
  await using source = await CountingSource.start({ bytes });

  await withPeer(
    () => refuse("not-shareable", "join the swarm: the host name is loopback"),
    async ({ session, get }) => {
      const { exitCode, stderr } = await get([], source.url);
      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
      expect(await digestOfOutput(session)).toBe(sha256Hex(bytes));

      expect((await get(["--no-origin"], source.url)).exitCode).toBe(14);
    },
  );
});

test("credentials reach the peer apart from what names the task, and one that shares nothing private is done without", async () => {
  const bytes = randomPayload(1000);
  await using source = await CountingSource.start({ bytes });

  await withPeer(
    () => refuse("not-shareable", "bring a private URL"),
    async ({ peer, get }) => {
      const { exitCode, stderr } = await get(["-H", "Cookie: secret"], source.url);

      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
      expect(peer.requests).toMatchObject([
        { url: source.url, credentials: { url: source.url, headers: { Cookie: "secret" } } },
      ]);
      expect(JSON.stringify({ ...peer.requests[0], credentials: null })).not.toContain("secret");
    },
  );
});

test("a proxy in the environment does not come between df get and its peer", async () => {
  const bytes = randomPayload(1000);

  await withPeer(
    (stream) => stream.sendWhole(bytes, ONE),
    async ({ session, peer }) => {
      peer.contents.set(ONE, bytes);
      const args = [URL, "-o", "output", "--socket", join(session.folder, "s")];
      const proxy = "http://127.0.0.1:1";
      const { exitCode, stderr } = await runGet(session, args, {
        env: { http_proxy: proxy, HTTP_PROXY: proxy },
      });

      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    },
  );
});
