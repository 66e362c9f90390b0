// Outputs of `df get`: the final name, resuming, the lock, and what cannot be written.

import { expect, test } from "bun:test";
import {
  chmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { digestNow } from "../../src/engine/bytes/digest.ts";
import type { ResumeJournal } from "../../src/engine/bytes/resume-journal.ts";
import { openOutputFile } from "../../src/store/output-file.ts";
import { idOf, temporaryDir } from "./store-fixture.ts";

const HALF = new TextEncoder().encode("half of it");

function journalOf(bytes: Uint8Array): ResumeJournal {
  return {
    content: idOf(1),
    validator: '"1"',
    length: 100,
    pieceLength: bytes.length,
    pieces: new Map([[0, digestNow("sha256", bytes)]]),
  };
}

test("the target has its name only after publish, and nothing else is left", async () => {
  using dir = temporaryDir();
  const target = join(dir.path, "file");
  const output = await openOutputFile(target);
  await output.write(5, new TextEncoder().encode("world"));
  await output.write(0, new TextEncoder().encode("hello"));
  await output.saveJournal(journalOf(HALF));
  expect(readdirSync(dir.path)).not.toContain("file");

  await output.publish();

  expect(readFileSync(target, "utf8")).toBe("helloworld");
  expect(readdirSync(dir.path)).toEqual(["file"]);
});

test("an old file stays whole until the new one takes its place, with the old one's rights", async () => {
  using dir = temporaryDir();
  const target = join(dir.path, "file");
  writeFileSync(target, "old", { mode: 0o640 });
  const output = await openOutputFile(target);
  await output.write(0, HALF);
  expect(readFileSync(target, "utf8")).toBe("old");

  await output.publish();

  expect(readFileSync(target)).toEqual(Buffer.from(HALF));
  expect(statSync(target).mode & 0o777).toBe(0o640);
});

test("an unfinished output is found again with its note and its bytes", async () => {
  using dir = temporaryDir();
  const target = join(dir.path, "file");
  const first = await openOutputFile(target);
  await first.write(0, HALF);
  await first.saveJournal(journalOf(HALF));
  await first.close();

  const second = await openOutputFile(target);

  expect(second.earlier).toEqual(journalOf(HALF));
  expect(await second.size()).toBe(HALF.length);
  expect(await second.read(0, 1000)).toEqual(HALF);
  await second.restart();
  expect(second.earlier).toBeNull();
  expect(await second.size()).toBe(0);
  await second.discard();
  expect(readdirSync(dir.path)).toEqual([]);
});

test.each([
  ["no note", () => undefined],
  ["a torn note", (path: string) => writeFileSync(`${path}.resume`, "df-resume 1\n{")],
])("an unfinished output with %s is replaced by an empty one", async (_, damage) => {
  using dir = temporaryDir();
  const first = await openOutputFile(join(dir.path, "file"));
  await first.write(0, HALF);
  damage(join(dir.path, readdirSync(dir.path)[0]!));
  await first.close();

  const second = await openOutputFile(join(dir.path, "file"));

  expect(second.earlier).toBeNull();
  expect(await second.size()).toBe(0);
  expect(readdirSync(dir.path)).toHaveLength(1);
  await second.close();
});

test("T-16: a part file that is a link or has a second name is never taken", async () => {
  using dir = temporaryDir();
  const victim = join(dir.path, "victim");
  writeFileSync(victim, "precious");
  symlinkSync(victim, join(dir.path, ".file.0123456789abcdef.df-part"));

  const output = await openOutputFile(join(dir.path, "file"));
  await output.write(0, HALF);
  await output.publish();

  expect(readFileSync(victim, "utf8")).toBe("precious");
});

test("T-16: a note that somebody turned into a link is not written through", async () => {
  using dir = temporaryDir();
  const victim = join(dir.path, "victim");
  writeFileSync(victim, "precious");
  const output = await openOutputFile(join(dir.path, "file"));
  const [part] = readdirSync(dir.path).filter((name) => name.endsWith(".df-part"));
  symlinkSync(victim, join(dir.path, `${part}.resume.new`));

  await output.saveJournal(journalOf(HALF));
  await output.discard();

  expect(readFileSync(victim, "utf8")).toBe("precious");
});

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn("SKIPPED: another user's links need root");

test.if(isRoot)(
  "T-16: in a folder that all may write to another user's link is refused, an own one followed",
  async () => {
    using dir = temporaryDir();
    const victim = join(dir.path, "victim");
    writeFileSync(victim, "precious");
    const shared = join(dir.path, "shared");
    mkdirSync(shared);
    chmodSync(shared, 0o1777);
    symlinkSync(victim, join(shared, "planted"));
    lchownSync(join(shared, "planted"), 65534, 65534);
    symlinkSync(victim, join(shared, "own"));

    const refused = await openOutputFile(join(shared, "planted")).catch((error) => error);
    const followed = await openOutputFile(join(shared, "own"));

    expect(refused).toMatchObject({ code: "denied" });
    expect(followed.path).toBe(victim);
    await followed.discard();
    expect(readFileSync(victim, "utf8")).toBe("precious");
  },
);

test("of two outputs to one target, even opened at once, the second is refused", async () => {
  using dir = temporaryDir();
  const target = join(dir.path, "file");
  const settled = await Promise.allSettled([
    openOutputFile(target),
    openOutputFile(target),
    openOutputFile(target),
  ]);
  const opened = settled.filter((result) => result.status === "fulfilled");
  const refused = settled.filter((result) => result.status === "rejected");

  expect(opened).toHaveLength(1);
  for (const { reason } of refused)
    expect(reason).toMatchObject({ code: "output-busy", exitCode: 11 });
  await opened[0]!.value.close();
  await (await openOutputFile(target)).discard();
});

test("the lock dies with its process, however it dies", async () => {
  using dir = temporaryDir();
  const target = join(dir.path, "file");
  const script = `
    import { openOutputFile } from ${JSON.stringify(join(import.meta.dir, "../../src/store/output-file.ts"))};
    await openOutputFile(${JSON.stringify(target)});
    console.log("open");
    await Bun.sleep(600_000);
  `;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
  await child.stdout.getReader().read();
  await expect(openOutputFile(target)).rejects.toMatchObject({ code: "output-busy" });

  child.kill("SIGKILL");
  await child.exited;

  await (await openOutputFile(target)).discard();
});

test("a link to a file is written through, as by any tool", async () => {
  using dir = temporaryDir();
  mkdirSync(join(dir.path, "elsewhere"));
  writeFileSync(join(dir.path, "elsewhere", "real"), "old");
  symlinkSync("elsewhere/real", join(dir.path, "link"));
  const output = await openOutputFile(join(dir.path, "link"));
  await output.write(0, HALF);
  await output.publish();

  expect(lstatSync(join(dir.path, "link")).isSymbolicLink()).toBe(true);
  expect(readFileSync(join(dir.path, "elsewhere", "real"))).toEqual(Buffer.from(HALF));
});

test("a name of 255 bytes works too", async () => {
  using dir = temporaryDir();
  const target = join(dir.path, "x".repeat(255));
  const first = await openOutputFile(target);
  await first.saveJournal(journalOf(HALF));
  await first.close();
  const second = await openOutputFile(target);

  expect(second.earlier).not.toBeNull();
  await second.publish();
  expect(readdirSync(dir.path)).toEqual(["x".repeat(255)]);
});

test("what cannot be written is refused with a hint, before a byte is fetched", async () => {
  using dir = temporaryDir();
  const refusal = (target: string) =>
    openOutputFile(target).then(
      () => null,
      (error: unknown) => error,
    );

  expect(await refusal(dir.path)).toMatchObject({
    code: "file-unwritable",
    hint: expect.stringContaining("NAME"),
  });
  expect(await refusal(join(dir.path, "missing", "file"))).toMatchObject({
    code: "file-unwritable",
    hint: "create the directory first",
  });
  expect(await refusal("/dev/null")).toMatchObject({
    code: "file-unwritable",
    hint: expect.stringContaining("-o -"),
  });
  expect(await refusal("/proc/file")).toMatchObject({ code: "file-unwritable" });
  writeFileSync(join(dir.path, "plain"), "");
  expect(await refusal(join(dir.path, "plain", "file"))).toMatchObject({ code: "file-unwritable" });
});

test.skipIf(process.getuid?.() === 0)(
  "a folder without write permission is refused (root may write anywhere)",
  async () => {
    using dir = temporaryDir();
    chmodSync(dir.path, 0o500);

    await expect(openOutputFile(join(dir.path, "file"))).rejects.toMatchObject({
      code: "file-unwritable",
      exitCode: 3,
    });
  },
);

test("a target that became a directory meanwhile fails, and the part stays for another try", async () => {
  using dir = temporaryDir();
  const target = join(dir.path, "file");
  const output = await openOutputFile(target);
  await output.write(0, HALF);
  mkdirSync(target);

  await expect(output.publish()).rejects.toMatchObject({ code: "file-unwritable" });

  expect(readdirSync(dir.path).filter((name) => name.endsWith(".df-part"))).toHaveLength(1);
});

test("a disk that cannot take the file is found out first", async () => {
  using dir = temporaryDir();
  const output = await openOutputFile(join(dir.path, "file"));

  await expect(output.checkSpace(2 ** 50)).rejects.toMatchObject({
    code: "no-space",
    exitCode: 12,
  });
  await output.checkSpace(1);
  await output.discard();
});
