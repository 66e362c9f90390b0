// A role's state lies where nobody else can change it.

import { expect, test } from "bun:test";
import { chmod, chown, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Session } from "../../bench/harness/session.ts";
import { isDfError } from "../../src/errors.ts";
import { claimStateDir } from "../../src/store/state-dir.ts";

/** The code and hint of the refusal; "claimed" when there was none. */
function claim(dir: string): string {
  try {
    claimStateDir(dir)();
    return "claimed";
  } catch (error) {
    return isDfError(error) ? `${error.code}: ${error.hint}` : String(error);
  }
}

test("a directory that is not there is made for its owner alone", async () => {
  await Session.run("state-dir", async ({ folder }) => {
    const dir = join(folder, "a", "b");

    expect(claim(dir)).toBe("claimed");
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
  });
});

test("T-17: a directory that others may write to is refused with what to do", async () => {
  await Session.run("state-dir", async ({ folder }) => {
    for (const mode of [0o777, 0o770, 0o1777, 0o722]) {
      const dir = join(folder, mode.toString(8));
      await mkdir(dir);
      await chmod(dir, mode);
      expect(claim(dir)).toBe(`denied: run: chmod go-w ${dir}`);
    }
  });
});

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn("SKIPPED: another user's directory needs root");

test.if(isRoot)("T-17: a directory of another user is refused", async () => {
  await Session.run("state-dir", async ({ folder }) => {
    const dir = join(folder, "foreign");
    await mkdir(dir, { mode: 0o700 });
    await chown(dir, 65534, 65534);

    expect(claim(dir)).toBe(`denied: choose another --data-dir, or run: chown -R 0 ${dir}`);
  });
});

test("a directory in use is refused until its user is done", async () => {
  await Session.run("state-dir", async ({ folder }) => {
    const dir = join(folder, "used");
    const release = claimStateDir(dir);

    expect(claim(dir)).toStartWith("denied: stop that process");
    release();
    expect(claim(dir)).toBe("claimed");
  });
});
