// Nobody names a path to a daemon: not over the network, not over its socket, not by what a source
// calls its files.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { readdir } from "node:fs/promises";
import { connect } from "node:net";
import { peerStatus } from "../../bench/harness/local-api-client.ts";
import { outputNameOf } from "../../src/roles/get/output-name.ts";
import { hasDf, withSwarm } from "../fixtures/spawn-df.ts";

const CLIMBS = [
  ...["../", "..%2f", "%2e%2e/", "..\\", "%00", "....//", "%c0%ae%c0%ae/", "/"].map((up) =>
    up.repeat(8).concat("etc/passwd"),
  ),
  `${"a".repeat(64)}/../../../../etc/passwd`,
  `${"a".repeat(63)}/`,
  "A".repeat(64),
  "sha256:../../etc/passwd",
];

const PREFIXES = ["/", "/v1/pieces/", "/v1/have/", "/v1/rows/", "/v1/signatures/", "/v1/contents/"];
const MORE_PREFIXES = ["/v1/holds/", "/docs/", "/df/"];

/** The whole answer; "" when the connection was cut off without one. */
function ask(to: { port: number } | { path: string }, target: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(to, () =>
      socket.write(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`),
    );
    socket.setTimeout(2_000, () => socket.destroy());
    socket.on("data", (data) => (answer += data.toString("latin1")));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(answer));
  });
}

test("T-15: whatever a URL calls its file, its name is no path", () => {
  const parts = fc.constantFrom(
    "..",
    ".",
    "/",
    "%2f",
    "%2e",
    "%00",
    "\\",
    "%5c",
    "a",
    "é",
    "-",
    "%",
  );
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 300 }), (path) => {
      const name = outputNameOf(`http://a.example/${path.join("")}`);

      // oxlint-disable-next-line no-control-regex -- that is what must not be there
      expect(name).toMatch(/^[^/\\\u0000-\u001f]+$/);
      expect([".", "..", "-"]).not.toContain(name);
      expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
    }),
  );
});

test.if(hasDf)(
  "T-15: no request reads or makes a file beside the state directories",
  async () => {
    await withSwarm({ peerCount: 1 }, async ({ session, supernode, peers }) => {
      const [peer] = peers;
      const control = Number(supernode.address.split(":")[1]);
      const pieces = Number((await peerStatus(peer!.socket))!.listen!.split(":").at(-1));
      const before = (await readdir(session.folder)).toSorted();

      const places = [
        { port: control },
        { port: control + 1 },
        { port: pieces },
        { path: peer!.socket },
      ];
      const targets = [...PREFIXES, ...MORE_PREFIXES].flatMap((prefix) =>
        CLIMBS.map((climb) => prefix + climb),
      );
      const odd: string[] = [];
      for (const place of places) {
        const answers = await Promise.all(targets.map((target) => ask(place, target)));
        for (const [i, answer] of answers.entries()) {
          const isRefused = answer === "" || /^HTTP\/1\.1 4\d\d /.test(answer);
          if (!isRefused || answer.includes("root:"))
            odd.push(`${targets[i]}: ${answer.slice(0, 80)}`);
        }
      }

      expect(odd).toEqual([]);
      expect((await readdir(session.folder)).toSorted()).toEqual(before);
      expect([supernode, peer!].map(({ child }) => child.exitCode)).toEqual([null, null]);
    });
  },
  60_000,
);

const canBecomeOther =
  hasDf &&
  process.getuid?.() === 0 &&
  ["setpriv", "perl"].every((name) => Bun.which(name) !== null);
if (!canBecomeOther)
  console.warn("SKIPPED: another user's look at the socket needs root and setpriv");

test.if(canBecomeOther)(
  "T-18: another user is not let in at the socket, and no request names a path",
  async () => {
    await withSwarm({ peerCount: 1 }, async ({ session, peers }) => {
      const { socket } = peers[0]!;
      // All the way to the socket is open to others: only its own mode keeps them out.
      await Bun.$`chmod 755 ${session.folder}`.quiet();
      const others = Bun.spawn(
        [
          "setpriv",
          "--reuid=65534",
          "--regid=65534",
          "--clear-groups",
          "perl",
          "-MSocket",
          "-e",
          PERL,
          socket,
        ],
        { stdout: "pipe", stderr: "inherit" },
      );
      const refused = await new Response(others.stdout).text();

      const withPath = await fetch("http://peer/v1/downloads", {
        unix: socket,
        method: "POST",
        body: JSON.stringify({ url: "http://a.example/f", output: "/etc/cron.d/df" }),
      });

      expect(refused).toBe("Permission denied");
      expect(withPath.status).toBe(400);
    });
  },
);

/** Says what connecting to the socket named by the argument comes to. */
const PERL =
  'socket(my $s, PF_UNIX, SOCK_STREAM, 0); print connect($s, sockaddr_un($ARGV[0])) ? "connected" : "$!";';
