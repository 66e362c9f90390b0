// What images are made of: a tar of files of this machine's own root file system, the same files at
// each run.

import { join } from "node:path";
import { sha256HexOfFile } from "../harness/counting-source.ts";
import type { Payload } from "../harness/payload.ts";
import { run } from "../harness/session.ts";

const ROOT = "/usr";

/** One such file would be a large part of the whole and make it unlike an image. */
const FILE_BYTES_MAX = 32 << 20;

/**
 * Packs files by a digest of their names until `length` is reached, and cuts there: every folder has
 * its share, whatever machine it is. @param root an existing folder that a web server may serve
 */
export async function makeRootFilesTar(root: string, length: number): Promise<Payload> {
  const chosen = await chooseFiles(length);
  const name = "root-files.tar";
  const path = join(root, name);
  // In the order of their names, as a layer has them.
  const list = chosen.toSorted().join("\0");
  const flags = ["--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--ignore-failed-read"];
  await run(["tar", "-C", "/", ...flags, "--null", "-T", "-", "-cf", path], list);
  await run(["truncate", "-s", `<${length}`, path]);
  return { root, name, path, length: Bun.file(path).size, sha256: await sha256HexOfFile(path) };
}

/** Paths without their leading slash. */
async function chooseFiles(length: number): Promise<string[]> {
  const files = (await filesBelow(ROOT))
    .map((file) => ({ ...file, order: Bun.SHA256.hash(file.path, "hex") }))
    .toSorted((a, b) => (a.order < b.order ? -1 : 1));
  const chosen: string[] = [];
  for (let index = 0, total = 0; index < files.length && total < length; index++) {
    const { path, size } = files[index]!;
    total += size;
    chosen.push(path.slice(1));
  }
  return chosen;
}

/** Regular files of this file system; no link is followed. */
async function filesBelow(folder: string): Promise<{ path: string; size: number }[]> {
  const wanted = ["-type", "f", "-size", "+0", "-size", `-${FILE_BYTES_MAX}c`];
  const list = await run(["find", folder, "-xdev", ...wanted, "-printf", "%s %p\\0"]);
  return list
    .split("\0")
    .filter((line) => line !== "")
    .map((line) => {
      const space = line.indexOf(" ");
      return { size: Number(line.slice(0, space)), path: line.slice(space + 1) };
    });
}
