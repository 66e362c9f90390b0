// `df get` without a swarm, as a real process against real servers: right bytes or a clear error,
// whatever is killed, changed or in the way.

import { expect, test } from "bun:test";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  CountingSource,
  randomPayload,
  sha256Hex,
  sha256HexOfFile,
} from "../../bench/harness/counting-source.ts";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import { parseResumeJournal } from "../../src/engine/bytes/resume-journal.ts";
import { pieceLengthAt } from "../../src/engine/core/piece-layout.ts";
import { startBadSource } from "../fixtures/bad-source.ts";
import { cert, key } from "../net/source/test-certificate.ts";
import { linesOf, runGet, startGet } from "./get-process.ts";

const MB = 1_000_000;

function inFolder<T>(work: (session: Session) => Promise<T>): Promise<T> {
  return Session.run("get", work);
}

async function leftovers(session: Session): Promise<string[]> {
  return (await readdir(session.folder)).filter((name) => name.includes(".df-part"));
}

test.each([0, 1, 1024, 65_536, 65_537, 3 * MB])(
  "a file of %i bytes arrives whole, named after its URL",
  async (length) => {
    const bytes = randomPayload(length);
    await using source = await CountingSource.start({ bytes });

    await inFolder(async (session) => {
      const { exitCode, stdout, stderr } = await runGet(session, [source.url]);

      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
      expect(stdout.length).toBe(0);
      expect(await sha256HexOfFile(join(session.folder, "file"))).toBe(sha256Hex(bytes));
      expect(source.bodyBytes).toBe(length);
      expect(await leftovers(session)).toEqual([]);
    });
  },
);

/** How much of the output its resume note vouches for. */
async function notedBytes(session: Session): Promise<number> {
  const name = (await leftovers(session)).find((name) => name.endsWith(".resume"));
  const text = await readFile(join(session.folder, name ?? "none"), "utf8").catch(() => "");
  const note = parseResumeJournal(text);
  if (note === null) return 0;
  return [...note.pieces.keys()].reduce((sum, piece) => sum + pieceLengthAt(note, piece), 0);
}

test("killed in mid-transfer, the same command reads only what is missing", async () => {
  const bytes = randomPayload(8 * MB);
  await using source = await CountingSource.start({ bytes, bytesPerSec: 8 * MB });

  await inFolder(async (session) => {
    const args = [source.url, "-o", "output"];
    const first = startGet(session, args);
    await waitUntil("more than half of the file", async () => source.bodyBytes > 5 * MB);
    // How far the note is behind the source is a matter of the machine's load: it may catch up.
    source.bytesPerSec = MB / 10;
    await waitUntil("half of the file noted", async () => (await notedBytes(session)) > 4 * MB);
    first.child.kill("SIGKILL");
    await first.finished;
    expect(await Bun.file(join(session.folder, "output")).exists()).toBe(false);
    const noted = await notedBytes(session);
    const bodyBytes = source.bodyBytes;
    source.bytesPerSec = Infinity;
    const { exitCode } = await runGet(session, args);

    expect(exitCode).toBe(0);
    expect(await sha256HexOfFile(join(session.folder, "output"))).toBe(sha256Hex(bytes));
    expect(source.bodyBytes - bodyBytes).toBe(bytes.length - noted);
    expect(await leftovers(session)).toEqual([]);
  });
});

test("a resumed part that rotted on the disk is read again, not trusted", async () => {
  const bytes = randomPayload(4 * MB);
  await using source = await CountingSource.start({ bytes, bytesPerSec: 8 * MB });

  await inFolder(async (session) => {
    const args = [source.url, "-o", "output"];
    const first = startGet(session, args);
    await waitUntil("half of the file", async () => source.bodyBytes > 2 * MB);
    first.child.kill("SIGKILL");
    await first.finished;
    const part = (await leftovers(session)).find((name) => name.endsWith(".df-part"))!;
    const rotten = await readFile(join(session.folder, part));
    rotten.fill(0x55, 1000, 2000);
    await writeFile(join(session.folder, part), rotten);
    const { exitCode } = await runGet(session, args);

    expect(exitCode).toBe(0);
    expect(await sha256HexOfFile(join(session.folder, "output"))).toBe(sha256Hex(bytes));
  });
});

test("a source that changed between two runs starts the output over", async () => {
  const first = randomPayload(4 * MB);
  const second = randomPayload(4 * MB);
  await using old = await CountingSource.start({ bytes: first, bytesPerSec: 8 * MB });

  await inFolder(async (session) => {
    const run = startGet(session, [old.url, "-o", "output"]);
    await waitUntil("half of the file", async () => old.bodyBytes > 2 * MB);
    run.child.kill("SIGKILL");
    await run.finished;
    // The same address serves other bytes now.
    const { url } = old;
    const port = Number(new URL(url).port);
    await old[Symbol.asyncDispose]();
    using _changed = Bun.serve({
      port,
      hostname: "127.0.0.1",
      development: false,
      fetch: () => new Response(second, { headers: { etag: '"other"' } }),
    });
    const { exitCode, stderr } = await runGet(session, [url, "-o", "output"]);

    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(await sha256HexOfFile(join(session.folder, "output"))).toBe(sha256Hex(second));
  });
});

test("SIGINT exits 130, tells how to go on, and the same command does", async () => {
  const bytes = randomPayload(4 * MB);
  await using source = await CountingSource.start({ bytes, bytesPerSec: 4 * MB });

  await inFolder(async (session) => {
    const args = [source.url, "-o", "output"];
    const first = startGet(session, args);
    await waitUntil("half of the file", async () => source.bodyBytes > 2 * MB);
    // Else the source goes on for as long as a busy machine lets the signal wait.
    source.bytesPerSec = MB / 10;
    await waitUntil(
      "a third of the file noted",
      async () => (await notedBytes(session)) > 1.3 * MB,
    );
    first.child.kill("SIGINT");
    const { exitCode, stderr } = await first.finished;
    expect(exitCode).toBe(130);
    expect(stderr).toContain("hint: the same command again");

    source.bytesPerSec = Infinity;
    expect((await runGet(session, args)).exitCode).toBe(0);
    expect(await sha256HexOfFile(join(session.folder, "output"))).toBe(sha256Hex(bytes));
    expect(source.bodyBytes).toBeLessThan(1.5 * bytes.length);
  });
});

test("the second of two gets to one output exits 11 and disturbs nothing", async () => {
  const bytes = randomPayload(2 * MB);
  // The first one ends after the second one, however long that takes to begin.
  await using source = await CountingSource.start({ bytes, bytesPerSec: MB / 10 });

  await inFolder(async (session) => {
    const args = [source.url, "-o", "output"];
    const first = startGet(session, args);
    await waitUntil("first bytes", async () => source.bodyBytes > 0);
    const second = await runGet(session, args);
    source.bytesPerSec = Infinity;

    expect(second.exitCode).toBe(11);
    expect(second.stderr).toContain("hint:");
    expect((await first.finished).exitCode).toBe(0);
    expect(await sha256HexOfFile(join(session.folder, "output"))).toBe(sha256Hex(bytes));
  });
});

test("-o - writes the bytes to stdout and everything else to stderr", async () => {
  const bytes = randomPayload(3 * MB);
  await using source = await CountingSource.start({ bytes });

  await inFolder(async (session) => {
    const { exitCode, stdout, stderr } = await runGet(session, [source.url, "-o", "-", "--json"]);

    expect(exitCode).toBe(0);
    expect(sha256Hex(stdout)).toBe(sha256Hex(bytes));
    expect(stderr).toContain('"result":"ok"');
  });
});

test("a list is worked through and the worst exit code told", async () => {
  const bytes = randomPayload(10_000);
  await using source = await CountingSource.start({ bytes });
  using missing = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    fetch: () => new Response("no", { status: 404 }),
  });

  await inFolder(async (session) => {
    await mkdir(join(session.folder, "into"));
    const base = new URL(source.url);
    const list = `# comment\n${base.origin}/one\n\n${missing.url.href}two\n${base.origin}/three\n`;
    const { exitCode, stderr } = await runGet(session, ["-i", "-", "--dir", "into"], {
      stdin: list,
    });

    expect(exitCode).toBe(8);
    expect(stderr).toContain("404");
    expect((await readdir(join(session.folder, "into"))).toSorted()).toEqual(["one", "three"]);
  });
});

test("with --json every line is an object and the last one tells the result", async () => {
  const bytes = randomPayload(200_000);
  await using source = await CountingSource.start({ bytes });

  await inFolder(async (session) => {
    const lines = linesOf(await runGet(session, [source.url, "-o", "output", "--json"]));

    expect(lines[0]).toMatchObject({ event: "started", version: 1, path: "output" });
    expect(lines.at(-1)).toEqual({
      event: "result",
      version: 1,
      result: "ok",
      url: source.url,
      path: "output",
      route: "direct",
      length: bytes.length,
      bytes: { source: bytes.length, supernode: 0, peers: 0, cache: 0 },
      seconds: expect.any(Number),
      md5: new Bun.CryptoHasher("md5").update(bytes).digest("hex"),
      sha256: sha256Hex(bytes),
      tailMs: expect.any(Number),
      wireBytes: bytes.length,
      error: null,
      exitCode: 0,
    });
  });
});

test("a failure is a JSON line too, with its code and hint", async () => {
  await inFolder(async (session) => {
    const finished = await runGet(session, ["http://127.0.0.1:1/x", "--json", "--tries", "1"]);

    expect(finished.exitCode).toBe(4);
    expect(linesOf(finished).at(-1)).toMatchObject({
      result: "failed",
      exitCode: 4,
      error: { code: "network", hint: expect.any(String) },
    });
  });
});

test.each([
  ["--checksum", (bytes: Uint8Array) => `sha256:${sha256Hex(bytes)}`],
  ["--sha256", sha256Hex],
  ["--md5", (bytes: Uint8Array) => new Bun.CryptoHasher("md5").update(bytes).digest("hex")],
])("the right %s passes, a wrong one exits 9 and leaves nothing", async (flag, digestOf) => {
  const bytes = randomPayload(300_000);
  await using source = await CountingSource.start({ bytes });

  await inFolder(async (session) => {
    const args = [source.url, "-o", "output", flag];
    const wrong = await runGet(session, [...args, digestOf(randomPayload(10))]);
    expect(wrong.exitCode).toBe(9);
    expect(await readdir(session.folder)).toEqual([]);

    expect((await runGet(session, [...args, digestOf(bytes)])).exitCode).toBe(0);
  });
});

test("a private request says that it is not shared, once a supernode is known", async () => {
  const bytes = randomPayload(1000);
  await using source = await CountingSource.start({ bytes });

  await inFolder(async (session) => {
    const args = [source.url, "-o", "output", "-H", "Authorization: Bearer secret"];
    const { exitCode, stderr } = await runGet(session, [...args, "--supernode", "127.0.0.1:1"]);

    expect(exitCode).toBe(0);
    expect(stderr).toContain("header Authorization");
    expect(stderr).toContain("not shared");
    expect(stderr).not.toContain("secret");
  });
});

test("headers reach the source, from the command line and from a file", async () => {
  const source = await startBadSource((reply) => reply.serve(new Uint8Array(10)));

  await inFolder(async (session) => {
    await writeFile(join(session.folder, "secret"), "X-Token: abc\n");
    const args = ["-o", "output", "-H", "X-One: 1", "-H", "@secret", "--user", "me:pw", "-A", "me"];
    expect((await runGet(session, [source.url, ...args])).exitCode).toBe(0);
  });

  expect(source.requests[0]!.headers).toMatchObject({
    "x-one": "1",
    "x-token": "abc",
    authorization: `Basic ${btoa("me:pw")}`,
    "user-agent": "me",
  });
  await source.stop();
});

test("a certificate that nobody signed exits 5, unless the user trusts it", async () => {
  using source = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    tls: { cert, key },
    fetch: () => new Response("behind TLS"),
  });

  await inFolder(async (session) => {
    await writeFile(join(session.folder, "ca.pem"), cert);
    const args = [`https://localhost:${source.port}/x`, "-o", "output", "--tries", "1"];
    const { exitCode, stderr } = await runGet(session, args);
    expect(exitCode).toBe(5);
    expect(stderr).toContain("hint:");

    for (const flags of [["--insecure"], ["--cacert", "ca.pem"]]) {
      expect((await runGet(session, [...args, ...flags])).exitCode).toBe(0);
    }
    expect(await Bun.file(join(session.folder, "output")).text()).toBe("behind TLS");
  });
});

test("-nc leaves an existing file alone and reads nothing", async () => {
  await using source = await CountingSource.start({ bytes: randomPayload(1000) });

  await inFolder(async (session) => {
    await writeFile(join(session.folder, "output"), "mine");
    const { exitCode } = await runGet(session, [source.url, "-o", "output", "-nc"]);

    expect(exitCode).toBe(0);
    expect(await Bun.file(join(session.folder, "output")).text()).toBe("mine");
    expect(source.requests).toBe(0);
  });
});

test("a file larger than --max-filesize is refused before its body is read", async () => {
  await using source = await CountingSource.start({ bytes: randomPayload(3 * MB) });

  await inFolder(async (session) => {
    const { exitCode } = await runGet(session, [source.url, "--max-filesize", "1M"]);

    expect(exitCode).toBe(14);
    expect(await readdir(session.folder)).toEqual([]);
  });
});

test("a source that falls silent is given up after --timeout", async () => {
  const source = await startBadSource((reply) =>
    reply.head(200, { "content-length": 100 }).body("some"),
  );

  await inFolder(async (session) => {
    const args = [source.url, "-o", "output", "--timeout", "300ms", "--tries", "1"];
    const { exitCode } = await runGet(session, args);

    expect(exitCode).toBe(10);
    expect(await readdir(session.folder)).toEqual([]);
  });
  await source.stop();
});

test("--max-time ends a download that is too slow", async () => {
  const bytes = randomPayload(2 * MB);
  await using source = await CountingSource.start({ bytes, bytesPerSec: MB / 4 });

  await inFolder(async (session) => {
    const { exitCode, stderr } = await runGet(session, [source.url, "--max-time", "500ms"]);

    expect(exitCode).toBe(10);
    expect(stderr).toContain("--max-time");
  });
});

test("an output that cannot be written exits 3 and reads nothing", async () => {
  await using source = await CountingSource.start({ bytes: randomPayload(1000) });

  await inFolder(async (session) => {
    await mkdir(join(session.folder, "folder"));
    for (const output of ["no/such/folder/x", "folder"]) {
      const { exitCode, stderr } = await runGet(session, [source.url, "-o", output]);
      expect(exitCode).toBe(3);
      expect(stderr).toContain("hint:");
    }
    expect(source.requests).toBe(0);
    await chmod(join(session.folder, "folder"), 0o755);
  });
});

test.each([
  ["several URLs to one file", ["http://a/x", "http://b/y", "-o", "one"]],
  ["no URL", []],
  ["a URL that is none", ["not a url"]],
  ["a scheme we do not read", ["ftp://a/x"]],
  ["a checksum that is none", ["http://a/x", "--checksum", "sha256:12"]],
  ["a rate that is none", ["http://a/x", "--limit-rate", "fast"]],
  ["a way that is none", ["http://a/x", "--source", "magic"]],
  ["a header that is none", ["http://a/x", "-H", "secret"]],
  ["a supernode that is none", ["http://a/x", "--supernode", "a b"]],
  ["ways that exclude each other", ["http://a/x", "--source", "origin", "--no-origin"]],
])("%s is a usage error", async (_, args) => {
  await inFolder(async (session) => {
    const { exitCode, stderr, stdout } = await runGet(session, args);

    expect(exitCode).toBe(2);
    expect(stderr).toStartWith("error: ");
    expect(stderr).not.toContain("secret");
    expect(stdout.length).toBe(0);
  });
});

test("without a source and without a swarm --no-origin exits 15", async () => {
  await inFolder(async (session) => {
    const { exitCode, stderr } = await runGet(session, ["http://127.0.0.1:1/x", "--no-origin"]);

    expect(exitCode).toBe(15);
    expect(stderr).toContain("--supernode");
  });
});

test("--limit-rate holds over the whole transfer, whatever the source could do", async () => {
  const bytes = randomPayload(3 * MB);
  await using source = await CountingSource.start({ bytes });

  await inFolder(async (session) => {
    const startedAtMs = performance.now();
    const rate = 2 * MB;
    const args = [source.url, "-o", "output", "--json", "--limit-rate", String(rate)];
    const run = await runGet(session, args);
    const seconds = (performance.now() - startedAtMs) / 1000;

    expect(run.exitCode).toBe(0);
    // A slow machine only makes the time longer: the bound holds whenever the limit does.
    expect(bytes.length).toBeLessThanOrEqual(1.05 * rate * seconds + (1 << 20));
    expect(linesOf(run).at(-1)).toMatchObject({ result: "ok", bytes: { source: bytes.length } });
  });
});
