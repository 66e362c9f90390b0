// The file that a bench distributes: random bytes, made piecewise, with its digest.

import { randomBytes } from "node:crypto";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";

const CHUNK_BYTES = 1 << 20;

export interface Payload {
  /** Folder that a web server may serve. */
  root: string;
  /** File name within `root`. */
  name: string;
  path: string;
  length: number;
  sha256: string;
}

export async function makePayload(folder: string, length: number): Promise<Payload> {
  const root = join(folder, "root");
  const name = "payload";
  const path = join(root, name);
  await mkdir(root);
  const hasher = new Bun.CryptoHasher("sha256");
  const file = await open(path, "w");
  for (let left = length; left > 0; left -= CHUNK_BYTES) {
    const bytes = randomBytes(Math.min(left, CHUNK_BYTES));
    hasher.update(bytes);
    await file.write(bytes);
  }
  await file.close();
  return { root, name, path, length, sha256: hasher.digest("hex") };
}
