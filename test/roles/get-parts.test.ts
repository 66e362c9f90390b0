// The small decisions of `df get`: names, routes, exit codes, what a person sees.

import { expect, test } from "bun:test";
import { Secret } from "../../src/engine/bytes/secret.ts";
import { worstCode } from "../../src/roles/get/command.ts";
import { outputNameOf, outputPathOf } from "../../src/roles/get/output-name.ts";
import { formatBytes, formatSeconds, ProgressDisplay } from "../../src/roles/get/progress.ts";
import { routeOf, type RouteOptions } from "../../src/roles/get/route.ts";

test.each([
  ["http://h/a/b.iso", "b.iso"],
  ["http://h/a/b.iso?x=1#y", "b.iso"],
  ["http://h/a%20b", "a b"],
  ["http://h/", "index.html"],
  ["http://h", "index.html"],
  ["http://h/a/", "index.html"],
  ["http://h/%2e%2e%2fpasswd", ".._passwd"],
  ["http://h/%2e%2e", "index.html"],
  ["http://h/a%0Ab", "a_b"],
  ["http://h/%ff", "%ff"],
])("%s is written to %s", (url, name) => {
  expect(outputNameOf(url)).toBe(name);
});

test("--dir holds for names, not for absolute outputs, and - is stdout", () => {
  expect(outputPathOf("http://h/x", null, "into")).toBe("into/x");
  expect(outputPathOf("http://h/x", "y", "into")).toBe("into/y");
  expect(outputPathOf("http://h/x", "/tmp/y", "into")).toBe("/tmp/y");
  expect(outputPathOf("http://h/x", "-", "into")).toBe("-");
});

test.each([
  [[], 0],
  [[0, 0], 0],
  [[0, 8, 4], 4],
  [[1, 8], 8],
  [[1, 0], 1],
])("of the codes %p a list exits with %p", (codes, worst) => {
  expect(worstCode(codes)).toBe(worst);
});

const OPTIONS: RouteOptions = {
  headers: new Secret({}),
  publicHeaders: [],
  source: "p2p",
  noOrigin: false,
  supernodes: [],
  fleet: null,
  isInsecure: false,
  ca: null,
};
const SUPERNODES = ["10.0.0.1:8002"];

test.each([
  ["nothing is known", {}, false, "direct"],
  ["a peer answers", {}, true, "swarm"],
  ["a supernode is known", { supernodes: SUPERNODES }, false, "swarm"],
  ["the user wants the source", { source: "origin", supernodes: SUPERNODES }, true, "direct"],
  [
    "the request is private",
    { headers: new Secret({ Cookie: "c" }), supernodes: SUPERNODES },
    false,
    "direct",
  ],
  ["a private request meets a peer", { headers: new Secret({ Cookie: "c" }) }, true, "swarm"],
  ["certificates are not verified", { isInsecure: true, supernodes: SUPERNODES }, true, "direct"],
] as [string, Partial<RouteOptions>, boolean, string][])(
  "when %s the way is chosen",
  (_, options, hasPeer, kind) => {
    expect(routeOf("http://h/x", { ...OPTIONS, ...options }, hasPeer).kind).toBe(kind as "direct");
  },
);

test.each([
  ["no-supernode", { noOrigin: true }],
  ["no-supernode", { source: "supernode" }],
  ["denied", { noOrigin: true, headers: new Secret({ Cookie: "c" }) }],
] as [string, Partial<RouteOptions>][])(
  "a read that may not go to the source ends with %s: %p",
  (code, options) => {
    expect(() => routeOf("http://h/x", { ...OPTIONS, ...options }, false)).toThrow(
      expect.objectContaining({ code }) as Error,
    );
  },
);

function display(style: "bar" | "plain") {
  const written: string[] = [];
  const screen = { columns: 100, write: (text: string) => void written.push(text) };
  return { written, progress: new ProgressDisplay(style, "out", screen, 0) };
}

const HALF = {
  doneBytes: 50e6,
  length: 100e6,
  bytes: { source: 0, supernode: 10e6, peers: 40e6, cache: 0 },
  wireBytes: 50e6,
  parents: 3,
};

test("a person sees a bar with share, rate, time left and where bytes come from", () => {
  const { written, progress } = display("bar");
  progress.update(HALF, 1000);

  expect(written.join("")).toContain(
    "50% of 100 MB  50.0 MB/s  ETA 1s  supernode 20%, peers 80%  3 parents",
  );
});

test("a log sees a line every ten seconds and one at the end", () => {
  const { written, progress } = display("plain");
  for (let ms = 0; ms <= 25_000; ms += 100) progress.update(HALF, ms);
  progress.finish({ ...HALF, doneBytes: 100e6 }, 25_000);

  expect(written).toHaveLength(3);
  expect(written.at(-1)).toBe("out: 100 MB in 25.0 s, 4.0 MB/s, from supernode 20%, peers 80%\n");
});

test("what travelled compressed is told beside what it became", () => {
  const { written, progress } = display("plain");
  progress.finish({ ...HALF, doneBytes: 50e6, wireBytes: 21e6 }, 25_000);

  expect(written.at(-1)).toBe(
    "out: 50.0 MB in 25.0 s, 2.0 MB/s, from supernode 20%, peers 80%, wire 21.0 MB of 50.0 MB\n",
  );
});

// It ended "in 0.0 s, 0 B/s, from cache 100%", as if something had gone wrong.
test("a file that this host had already is told without a rate", () => {
  const { written, progress } = display("plain");
  const bytes = { source: 0, supernode: 0, peers: 0, cache: 100e6 };
  progress.finish({ ...HALF, doneBytes: 100e6, bytes }, 20);

  expect(written.at(-1)).toBe("out: 100 MB in 0.0 s, from cache 100%\n");
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1.0 kB"],
  [123_456_789, "123 MB"],
])("%i bytes are shown as %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [5, "5s"],
  [65, "1m05s"],
  [3700, "1h01m"],
])("%i seconds are shown as %s", (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text);
});
