// What a neighbour says is taken only in its right form: it may be anyone.

import { afterEach, expect, test } from "bun:test";
import { plainRow } from "../../src/engine/core/manifest.ts";
import { askHave, askRows } from "../../src/net/piece/ask-neighbour.ts";
import { FrameEncoder } from "../../src/net/wire/swarm-frames.ts";

const CONTENT = "ab".repeat(32);
const never = new AbortController().signal;
const servers: Bun.Server<undefined>[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(true);
});

/** A neighbour that gives this answer to whatever it is asked. */
function neighbour(answer: (url: URL) => Response): string {
  const server = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0, development: false },
    fetch: ({ url }) => answer(new URL(url)),
  });
  servers.push(server);
  return `127.0.0.1:${server.port}`;
}

test("a bitmap is read byte by byte, the lowest bit first", async () => {
  const address = neighbour(() => new Response(Uint8Array.of(0b101, 0, 0, 0x80, 0x01)));

  expect([...(await askHave(address, { contentId: CONTENT }, never))!]).toEqual([
    0x8000_0005, 0x01,
  ]);
});

const endless = (): Response => {
  const pull = (controller: ReadableStreamDefaultController): void =>
    controller.enqueue(new Uint8Array(65_536));
  return new Response(new ReadableStream({ pull }));
};

test.each<[string, () => Response]>([
  ["a refusal", () => new Response("no", { status: 404 })],
  ["a redirect", () => Response.redirect("http://127.0.0.1:1/")],
  ["more bytes than any content needs", () => new Response(new Uint8Array(200_000))],
  ["bytes without end", endless],
])("%s is no bitmap and no rows", async (_, answer) => {
  const address = neighbour(answer);

  expect(await askHave(address, { contentId: CONTENT }, never)).toBeNull();
  expect(await askRows(address, { contentId: CONTENT, from: 0 }, never)).toEqual({
    rows: [],
    hasMore: false,
  });
});

test("a host that is not there says nothing", async () => {
  const address = neighbour(() => new Response());
  await servers.pop()!.stop(true);

  expect(await askHave(address, { contentId: CONTENT }, never)).toBeNull();
});

test("rows come from where they were asked, and a frame that does not parse is none", async () => {
  const digest = new Uint8Array(32).fill(7);
  const row = plainRow(9, digest);
  const asked: string[] = [];
  const good = neighbour((url) => {
    asked.push(url.pathname + url.search);
    return new Response(new FrameEncoder().rows(0, [{ piece: 3, row }]).slice());
  });
  const bad = neighbour(() => new Response(Uint8Array.of(3, 0, 0, 0, 0, 1, 0)));
  const question = { contentId: CONTENT, from: 5 };

  expect(await askRows(good, question, never)).toEqual({
    rows: [{ piece: 3, row }],
    hasMore: false,
  });
  expect(asked).toEqual([`/v1/rows/${CONTENT}?from=5`]);
  expect((await askRows(bad, question, never)).rows).toEqual([]);
});
