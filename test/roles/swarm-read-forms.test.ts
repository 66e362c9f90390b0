// What becomes of pieces under way when the owner says that they have another form.

import { expect, test } from "bun:test";
import { Pacer } from "../../src/engine/bytes/pacing.ts";
import { PieceClient } from "../../src/net/piece/piece-client.ts";
import { ContentTransfer } from "../../src/roles/peer/content-transfer.ts";
import { SwarmRead } from "../../src/roles/peer/swarm-read.ts";
import {
  factsOf,
  formedPiece,
  openTestStore,
  PIECE_LENGTH,
  temporaryDir,
} from "../store/store-fixture.ts";

/** A disk that takes nothing until it is let. */
class StuckDisk extends Pacer {
  readonly asked = Promise.withResolvers<void>();
  readonly let = Promise.withResolvers<void>();

  constructor() {
    super(null);
  }

  override async admit(): Promise<void> {
    this.asked.resolve();
    await this.let.promise;
  }
}

/** A read of one content of one piece, which its parent gives in a form of its own. */
async function readFixture(dir: string) {
  const disk = new StuckDisk();
  const { store } = await openTestStore(dir, { diskPacer: disk });
  const facts = factsOf(1, PIECE_LENGTH);
  const neighbours = await formedPiece(1, 0, { key: null, zstdLevel: 3 });
  const owners = await formedPiece(1, 0, { key: null, zstdLevel: 0 });
  const parent = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () =>
      new Response(neighbours.wire.slice(), {
        status: 206,
        headers: {
          "content-range": `bytes 0-${neighbours.wire.length - 1}/${neighbours.wire.length}`,
        },
      }),
  });
  const startedOver = Promise.withResolvers<void>();
  let whole = false;
  const content = await store.create(facts);
  const read: SwarmRead = new SwarmRead({
    taskId: facts.taskId,
    task: { url: facts.url, headers: {}, ignoredQuery: [], tag: "", checksum: "" } as never,
    store,
    discard: (contentId) => store.delete(contentId),
    adoptsForms: true,
    events: {
      joinOptions: () => ({}),
      joined() {},
      moved() {},
      refused() {},
      contentFailed() {},
      channelLost() {},
      channelOpened() {},
      startedOver: () => startedOver.resolve(),
      transferOf: (of) =>
        new ContentTransfer(of, {
          client: new PieceClient(),
          shared: { share() {} },
          pacers: [],
          isSupernode: () => false,
          pull() {},
          onProgress() {},
          onComplete() {},
          onFailure() {},
        }),
      advanced: () => {
        whole ||= read.isWhole;
      },
      broke: (error) => startedOver.reject(error),
    },
  });
  read.joined({
    ...{ contentId: facts.contentId, taskId: facts.taskId, handle: 1, swarmSize: 1 },
    ...{ length: PIECE_LENGTH, pieceLength: PIECE_LENGTH, validator: '"1"', lastModified: null },
    ...{ md5: null, sha256: null },
  } as never);
  while (read.transfer === null) await Bun.sleep(1);
  await Bun.sleep(5);
  const transfer = read.transfer;
  transfer.learn([{ piece: 0, row: neighbours.row }], "neighbours");
  const address = `127.0.0.1:${parent.port}`;
  const assign = () =>
    transfer.step({ kind: "assigned", assignments: [{ piece: 0, count: 1, parent: 7, address }] });
  return {
    ...{ read, content, disk, owners, neighbours, transfer, assign },
    ...{ startedOver: startedOver.promise, wasWhole: () => whole },
    async [Symbol.asyncDispose]() {
      read.stop();
      await parent.stop(true);
      await store.close();
    },
  };
}

test("a piece that is being written when the owner says another form does not count as that form", async () => {
  using dir = temporaryDir();
  await using fixture = await readFixture(dir.path);
  const { read, content, disk, owners, assign, startedOver } = fixture;
  assign();
  await disk.asked.promise;

  read.rows([{ piece: 0, row: owners.row }]);
  await Bun.sleep(150);
  disk.let.resolve();
  await startedOver;
  await Bun.sleep(20);

  expect(content.manifest.row(0)).toEqual(owners.row);
  expect(content.have.has(0)).toBe(false);
});

test("a content whose pieces were thrown away for the owner's forms is not whole when the owner closes it", async () => {
  using dir = temporaryDir();
  await using fixture = await readFixture(dir.path);
  const { read, content, disk, owners, assign, startedOver, transfer, wasWhole } = fixture;
  disk.let.resolve();
  assign();
  while (!transfer.isComplete) await Bun.sleep(1);

  read.rows([{ piece: 0, row: owners.row }]);
  read.closed({ length: PIECE_LENGTH, md5: "00".repeat(16), sha256: null });
  await startedOver;

  expect(content.have.has(0)).toBe(false);
  expect(wasWhole()).toBe(false);
});
