// Private files through a fleet of real processes: who has the right at the source gets them from the
// swarm, nobody else gets a byte, and nothing of them or of the credentials is to be seen on the wire,
// in logs, state or command lines.

import { expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomPayload, sha256Hex, sha256HexOfFile } from "../../bench/harness/counting-source.ts";
import { Session } from "../../bench/harness/session.ts";
import { canCapture, captureLoopback } from "../fixtures/capture.ts";
import { fleetOfProcesses } from "../fixtures/fleet-processes.ts";
import { guardedSource } from "../fixtures/guarded-source.ts";
import { hasDf, outputIn, runDf } from "../fixtures/spawn-df.ts";

const MB = 1_000_000;

/** Two users' credentials and a signature; each must be found nowhere. */
const CREDENTIALS = ["Bearer canary-credential-of-a", "Bearer canary-credential-of-b"] as const;
const SIGNATURE = "canary-signature-0123456789";
/** Stands in the file some thousand times; compression alone would hide most of them. */
const PLAINTEXT = "canary-plaintext-that-nobody-may-see";

/** Half text that shrinks, half chance. */
function privateFile(): Uint8Array {
  const text = Buffer.alloc(3 * MB, `${PLAINTEXT}\n`);
  const mixed = Buffer.from(randomPayload(3 * MB));
  // Between random bytes, where nothing shrinks.
  for (let at = 0; at + 4096 < mixed.length; at += 4096) mixed.write(PLAINTEXT, at);
  return Buffer.concat([text, mixed]);
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Which of the words stand in a file, and where. */
function found(paths: readonly string[], words: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const bytes = statSync(path).size > 0 ? readFileSync(path) : Buffer.alloc(0);
    return words.filter((word) => bytes.includes(word)).map((word) => `${word} in ${path}`);
  });
}

function commandLines(): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, "latin1")];
      } catch {
        return [];
      }
    });
}

test.if(hasDf && canCapture)(
  "T-35: a private transfer leaves neither its bytes nor a credential on the wire, in state, logs or command lines",
  async () => {
    const bytes = privateFile();
    const source = await guardedSource(bytes);
    source.allowed.add(CREDENTIALS[0]).add(CREDENTIALS[1]);
    source.admits = ({ url }) => new URL(url!, "http://a").searchParams.get("sig") === SIGNATURE;

    await Session.run("private", async (session) => {
      session.defer(() => source.stop());
      const capture = await captureLoopback(session);
      const fleet = await fleetOfProcesses(session, { tls: true });
      await fleet.supernode("supernode");
      const peers = await Promise.all(["a", "b", "c"].map((name) => fleet.peer(`peer-${name}`)));
      const secrets = join(session.folder, "secrets");
      const headerOf = (i: number): string[] => {
        writeFileSync(`${secrets}-${i}`, `Authorization: ${CREDENTIALS[i]}\n`);
        return ["-H", `@${secrets}-${i}`];
      };
      const seen: string[] = [];
      const get = async (i: number, url: string, flags: string[]) => {
        const output = outputIn(session, `output-${i}`);
        const running = runDf(session, [
          ...["get", url, "-o", output, "--socket", peers[i]!.socket, "--json", ...flags],
        ]);
        seen.push(...commandLines());
        const finished = await running;
        return { ...finished, output };
      };

      const first = await get(0, source.url, headerOf(0));
      const second = await get(1, source.url, headerOf(1));
      const readByTwo = source.bodyBytes;
      const nobody = await get(2, source.url, [
        "-H",
        "Authorization: Bearer wrong",
        "--tries",
        "1",
      ]);
      const statuses = await Promise.all(
        peers.map(({ socket }) => runDf(session, ["status", "--socket", socket, "--json"])),
      );

      expect(first).toMatchObject({ exitCode: 0 });
      expect(second).toMatchObject({ exitCode: 0 });
      for (const { output } of [first, second]) {
        expect(await sha256HexOfFile(output)).toBe(sha256Hex(bytes));
      }
      // One read for both: the second had it from the swarm, after it was proven.
      expect(readByTwo).toBe(bytes.length);
      expect(nobody).toMatchObject({ exitCode: 6 });
      expect(source.bodyBytes).toBe(bytes.length);

      const sourcePort = Number(source.host.split(":")[1]);
      const everything = capture.payloadsBut(new Set());
      const onTheWire = capture.payloadsBut(new Set([sourcePort]));
      // It sees what is there to be seen: the source itself speaks plain HTTP.
      expect(everything.includes(PLAINTEXT)).toBe(true);
      expect(everything.includes(CREDENTIALS[0])).toBe(true);
      for (const secret of [PLAINTEXT, ...CREDENTIALS]) {
        expect({ secret, isSeen: onTheWire.includes(secret) }).toEqual({ secret, isSeen: false });
      }

      const kept = filesBelow(session.folder).filter(
        (path) => !/\/(?:output-\d|secrets-\d|capture)$/.test(path),
      );
      expect(found(kept, [PLAINTEXT, ...CREDENTIALS])).toEqual([]);
      expect(seen.filter((line) => CREDENTIALS.some((secret) => line.includes(secret)))).toEqual(
        [],
      );
      const told = [first, second, nobody, ...statuses].flatMap(({ stdout, stderr }) => [
        stdout,
        stderr,
      ]);
      expect(told.filter((text) => CREDENTIALS.some((secret) => text.includes(secret)))).toEqual(
        [],
      );
    });
  },
  120_000,
);

test.if(hasDf)(
  "T-35: a signed URL is shared, and its signature is kept by nobody",
  async () => {
    const bytes = randomPayload(2 * MB);
    const source = await guardedSource(bytes);
    source.admits = ({ url }) => new URL(url!, "http://a").searchParams.get("sig") === SIGNATURE;

    await Session.run("private", async (session) => {
      session.defer(() => source.stop());
      const fleet = await fleetOfProcesses(session);
      await fleet.supernode("supernode");
      const peers = await Promise.all(["a", "b"].map((name) => fleet.peer(`peer-${name}`)));

      const runs = [];
      for (const [i, { socket }] of peers.entries()) {
        const output = outputIn(session, `output-${i}`);
        const url = `${source.url}?sig=${SIGNATURE}`;
        runs.push(await runDf(session, ["get", url, "-o", output, "--socket", socket]));
        expect(await sha256HexOfFile(output)).toBe(sha256Hex(bytes));
      }

      expect(runs).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }]);
      expect(source.bodyBytes).toBe(bytes.length);
      expect(runs.some(({ stderr }) => stderr.includes(SIGNATURE))).toBe(false);
      expect(found(filesBelow(session.folder), [SIGNATURE])).toEqual([]);
    });
  },
  60_000,
);
