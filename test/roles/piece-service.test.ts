// The piece worker behind its handle: what the main thread commits, the worker serves.

import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { plainRow } from "../../src/engine/core/manifest.ts";
import { digestNow } from "../../src/engine/bytes/digest.ts";
import { startPieceService } from "../../src/roles/worker/piece-service.ts";
import { openStore } from "../../src/store/open-store.ts";

const LIMITS = { uploadSlots: 3, uploadRateBytesPerSec: null, diskRateBytesPerSec: null };

test("the worker serves a piece from the moment it is committed, and stops when told", async () => {
  const dir = await mkdtemp(`${tmpdir()}/df-piece-service-`);
  const uploads = Promise.withResolvers<number>();
  const store = await openStore({ dir, quotaBytes: null, onWarning: () => {} });
  const service = await startPieceService({
    ...{ hostname: "127.0.0.1", port: 0, limits: LIMITS },
    onUploads: ({ uploadedBytes }) => uploads.resolve(uploadedBytes),
  });
  const contentId = "ab".repeat(32);
  const bytes = crypto.getRandomValues(new Uint8Array(1_000));
  const content = await store.create({
    ...{
      contentId,
      taskId: contentId,
      url: "http://a.test/",
      validator: '"v"',
      lastModified: null,
      answer: null,
    },
    layout: { length: 1_000, pieceLength: 65_536 },
  });
  const url = `http://127.0.0.1:${service.port}/v1/pieces/${contentId}/0`;

  service.serve(content);
  const before = await fetch(url);
  await content.write(0, bytes);
  const digest = digestNow("sha256", bytes);
  content.addRow(0, plainRow(1_000, digest));
  content.commitPiece(0);
  const after = await fetch(url);

  expect(before.status).toBe(404);
  expect(Buffer.from(await after.arrayBuffer()).equals(bytes)).toBe(true);
  expect(await uploads.promise).toBe(1_000);
  await service.stop();
  await expect(fetch(url)).rejects.toThrow();
  await store.close();
  await rm(dir, { recursive: true });
});

test("a child that asks as soon as it is told finds the piece: it was left alone for 10 s as one that has nothing", async () => {
  const dir = await mkdtemp(`${tmpdir()}/df-piece-service-`);
  const store = await openStore({ dir, quotaBytes: null, onWarning: () => {} });
  const service = await startPieceService({ hostname: "127.0.0.1", port: 0, limits: LIMITS });
  const bytes = crypto.getRandomValues(new Uint8Array(100));
  const statuses: number[] = [];
  for (let i = 0; i < 300; i++) {
    const contentId = i.toString(16).padStart(64, "0");
    const content = await store.create({
      ...{ contentId, taskId: contentId, url: "http://a.test/", validator: '"v"' },
      ...{ lastModified: null, answer: null, layout: { length: 100, pieceLength: 65_536 } },
    });
    await content.write(0, bytes);
    content.addRow(0, plainRow(100, digestNow("sha256", bytes)));
    content.commitPiece(0);

    service.serve(content);
    const answer = await fetch(`http://127.0.0.1:${service.port}/v1/pieces/${contentId}/0`);
    statuses.push(answer.status);
    await answer.arrayBuffer();
  }

  expect(new Set(statuses)).toEqual(new Set([200]));
  await service.stop();
  await store.close();
  await rm(dir, { recursive: true });
});

test("an address that is taken is one clear error", async () => {
  const taken = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });

  const starting = startPieceService({ hostname: "127.0.0.1", port: taken.port!, limits: LIMITS });

  await expect(starting).rejects.toMatchObject({ code: "usage" });
  await taken.stop(true);
});

test("a second peer on a port that another process serves does not start", async () => {
  const dir = await mkdtemp(`${tmpdir()}/df-two-peers-`);
  const first = await startPieceService({ hostname: "127.0.0.1", port: 0, limits: LIMITS });
  const main = new URL("../../src/main.ts", import.meta.url).pathname;
  const flags = [
    ...["--listen", `127.0.0.1:${first.port}`],
    ...["--socket", `${dir}/peer.sock`, "--data-dir", `${dir}/data`],
  ];

  const second = Bun.spawn([process.execPath, main, "peer", ...flags], { stderr: "pipe" });
  const killer = setTimeout(() => second.kill("SIGKILL"), 20_000);
  const stderr = await new Response(second.stderr).text();

  expect(await second.exited).toBe(2);
  expect(stderr).toContain(`error: serve pieces on 127.0.0.1:${first.port}`);
  expect(stderr).toContain("hint: another process listens there");
  clearTimeout(killer);
  await first.stop();
  await rm(dir, { recursive: true });
});
