// A pull of one image without an engine around it, as one process of a host: asks as containerd does
// (HEAD of the tag, then all by digest, three layers at once), hashes what comes and keeps nothing.
//
//   bun light-client.ts BASE QUERY REPOSITORY TAG     BASE: a registry's or a mirror's "http://host:port"
//
// Prints "ready", waits for a line on stdin, pulls, prints a LightPull as JSON.

import { createHash } from "node:crypto";
import { MANIFEST_ACCEPT } from "../../src/net/registry/media-type.ts";

/** Containerd's and Docker's own number. */
const LAYERS_AT_ONCE = 3;

/** What a pull took; instants are milliseconds of the machine's clock, which all namespaces share. */
export interface LightPull {
  endedAtMs: number;
  bytes: number;
  /** Of the pull alone. */
  cpuSeconds: number;
}

interface Descriptor {
  digest: string;
  size: number;
}

const [base, query, repository, tag] = process.argv.slice(2) as [string, string, string, string];

function request(path: string, method: string): Promise<Response> {
  const url = `${base}/v2/${repository}/${path}${query}`;
  return fetch(url, { method, headers: { accept: MANIFEST_ACCEPT } });
}

async function answer(path: string, method = "GET"): Promise<Response> {
  const response = await request(path, method);
  if (!response.ok)
    throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response;
}

/** Reads a blob and keeps nothing of it. @throws unless its bytes are those that its digest names */
async function readBlob({ digest, size }: Descriptor): Promise<number> {
  const hash = createHash("sha256");
  let length = 0;
  for await (const chunk of (await answer(`blobs/${digest}`)).body!) {
    hash.update(chunk);
    length += chunk.length;
  }
  if (length !== size || `sha256:${hash.digest("hex")}` !== digest)
    throw new Error(`${digest}: wrong bytes`);
  return length;
}

async function pull(): Promise<number> {
  const head = await answer(`manifests/${tag}`, "HEAD");
  const digest = head.headers.get("docker-content-digest")!;
  const text = await (await answer(`manifests/${digest}`)).bytes();
  if (`sha256:${createHash("sha256").update(text).digest("hex")}` !== digest)
    throw new Error(`manifest ${digest}: wrong bytes`);
  const manifest = JSON.parse(new TextDecoder().decode(text)) as {
    config: Descriptor;
    layers: Descriptor[];
  };
  const waiting = [...manifest.layers];
  const readers = Array.from({ length: LAYERS_AT_ONCE }, async () => {
    let length = 0;
    for (let layer = waiting.shift(); layer !== undefined; layer = waiting.shift())
      length += await readBlob(layer);
    return length;
  });
  const lengths = await Promise.all([readBlob(manifest.config), ...readers]);
  return lengths.reduce((sum, length) => sum + length, text.length);
}

process.stdout.write("ready\n");
for await (const _line of console) break;
const before = process.cpuUsage();
const bytes = await pull();
const { user, system } = process.cpuUsage(before);
const done: LightPull = { endedAtMs: Date.now(), bytes, cpuSeconds: (user + system) / 1e6 };
process.stdout.write(`${JSON.stringify(done)}\n`);
process.exit(0);
