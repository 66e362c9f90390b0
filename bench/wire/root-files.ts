// What images are made of: a tar of files of this machine's own root file system, the same files at
// each run.

import { readdirSync, lstatSync } from "node:fs";
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
  const chosen = chooseFiles(length);
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
function chooseFiles(length: number): string[] {
  const files = filesBelow(ROOT)
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

function filesBelow(folder: string): { path: string; size: number }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path, size: lstatSync(path).size }))
    .filter(({ size }) => size > 0 && size <= FILE_BYTES_MAX);
}
