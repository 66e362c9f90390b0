// I-8: no piece of a private content, no bitmap and no row of it, without a ticket that counts.

import { afterEach, describe, expect, setSystemTime, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "../../src/engine/bytes/secret.ts";
import { digestNow } from "../../src/engine/bytes/digest.ts";
import { plainRow } from "../../src/engine/core/manifest.ts";
import { PieceSet } from "../../src/engine/core/piece-set.ts";
import { PieceOutcome } from "../../src/engine/core/scheduler-events.ts";
import { askHave, askRows } from "../../src/net/piece/ask-neighbour.ts";
import { PieceClient } from "../../src/net/piece/piece-client.ts";
import { PieceServer } from "../../src/net/piece/piece-server.ts";
import { hostIdOf } from "../../src/net/wire/key-proof.ts";
import { signTicket } from "../../src/net/wire/piece-ticket.ts";
import { FrameEncoder } from "../../src/net/wire/swarm-frames.ts";
import { RequestSigner } from "../../src/net/wire/ticketed-request.ts";

const PRIVATE = "ab".repeat(32);
const PUBLIC = "cd".repeat(32);
const UNKNOWN = "ef".repeat(32);
const never = new AbortController().signal;

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  setSystemTime();
  for (const close of closers.splice(0)) await close();
});

function keysFixture() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    privateKey: new Secret(privateKey.export({ type: "pkcs8", format: "der" }).toString("base64")),
    publicKey: publicKey.export({ type: "spki", format: "der" }).toString("base64"),
  };
}

const cluster = keysFixture();
const alice = keysFixture();
const mallory = keysFixture();

const ticketOf = (keys = alice, contentId = PRIVATE, signedBy = cluster): string =>
  signTicket(signedBy.privateKey.reveal(), { contentId, hostId: hostIdOf(keys.publicKey) });

async function serverFixture({ trusts = true } = {}) {
  const dir = await mkdtemp(join(tmpdir(), "df-private-pieces-"));
  const bytes = crypto.getRandomValues(new Uint8Array(40_000));
  const path = join(dir, "data");
  await writeFile(path, bytes);
  const row = plainRow(bytes.length, digestNow("sha256", bytes));
  const server = new PieceServer({
    ...{ hostname: "127.0.0.1", port: 0, uploadSlots: 3, pacers: [] },
    rows: (contentId) =>
      Promise.resolve(
        contentId === UNKNOWN ? null : new FrameEncoder().rows(0, [{ piece: 0, row }]).slice(),
      ),
  });
  if (trusts) server.trust(cluster.publicKey);
  const content = {
    path,
    layout: { length: bytes.length, pieceLength: 65_536 },
    words: PieceSet.full(1).words,
    pieceCount: 1,
  };
  server.serve(PRIVATE, { ...content, isPrivate: true });
  server.serve(PUBLIC, content);
  closers.push(async () => {
    await server.stop();
    await rm(dir, { recursive: true });
  });
  const address = `127.0.0.1:${server.port}`;
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(`http://${address}${path}`, { headers });
    const { date: _, ...fields } = Object.fromEntries(answer.headers);
    return { status: answer.status, fields, text: await answer.text() };
  };
  return { address, bytes, row, get };
}

const paths = (contentId: string): string[] => [
  `/v1/pieces/${contentId}/0`,
  `/v1/have/${contentId}`,
  `/v1/rows/${contentId}?from=0`,
  `/v1/signatures/${contentId}`,
];

describe("I-8: a private content", () => {
  test("is given piece by piece to the host that its ticket names", async () => {
    const { address, bytes, row } = await serverFixture();
    const signer = new RequestSigner(alice);
    const authorise = (asked: { path: string; host: string }) => signer.fields(ticketOf(), asked);
    const parts: Uint8Array[] = [];

    const { outcome } = await new PieceClient().fetch(
      {
        ...{ address, contentId: PRIVATE, index: 0, row, authorise, pacers: [] },
        store: async (piece) => void parts.push(piece.slice()),
      },
      never,
    );
    const question = { contentId: PRIVATE, authorise };

    expect(outcome).toBe(PieceOutcome.finished);
    expect(parts).toEqual([bytes]);
    expect(await askHave(address, question, never)).toEqual(Uint32Array.of(1));
    const byName = address.replace("127.0.0.1", "LOCALHOST");
    expect(await askHave(byName, question, never)).toEqual(Uint32Array.of(1));
    expect((await askRows(address, { ...question, from: 0 }, never)).rows).toHaveLength(1);
  });

  test("is given range by range with one proof, which opens no other piece", async () => {
    const { address, bytes, get } = await serverFixture();
    const path = paths(PRIVATE)[0]!;
    const fields = new RequestSigner(alice).fields(ticketOf(), { path, host: address });

    const first = await get(path, { ...fields, range: "bytes=0-9" });
    const second = await get(path, { ...fields, range: "bytes=10-19" });
    const other = await get(paths(PRIVATE)[1]!, fields);
    const stolen = await get(path, { ...fields, "DF-Ticket": ticketOf(mallory) });

    expect([first.status, second.status]).toEqual([206, 206]);
    expect(second.fields["content-range"]).toBe(`bytes 10-19/${bytes.length}`);
    expect([other.status, stolen.status]).toEqual([401, 401]);
  });

  test("is to those without a ticket as one that is not here", async () => {
    const { get } = await serverFixture();

    for (const [i, path] of paths(PRIVATE).entries()) {
      const answer = await get(path);

      expect(answer.status).toBe(404);
      expect(answer).toEqual(await get(paths(UNKNOWN)[i]!));
    }
  });

  test("is to those whose ticket does not count as one that is not here", async () => {
    const { address, get } = await serverFixture();
    const signer = new RequestSigner(mallory);

    for (const [i, path] of paths(PRIVATE).entries()) {
      const refused = await get(path, signer.fields(ticketOf(), { path, host: address }));
      const unknown = paths(UNKNOWN)[i]!;
      const ticket = ticketOf(alice, UNKNOWN);
      const absent = await get(unknown, signer.fields(ticket, { path: unknown, host: address }));

      expect(refused.status).toBe(401);
      expect(refused).toEqual(absent);
    }
  });

  test("is given to nobody where no fleet is trusted", async () => {
    const { address, get } = await serverFixture({ trusts: false });

    for (const path of paths(PRIVATE)) {
      const headers = new RequestSigner(alice).fields(ticketOf(), { path, host: address });
      expect((await get(path, headers)).status).toBe(401);
    }
  });

  test("costs a parent whose child has no good ticket no blame and no piece", async () => {
    const { address, row } = await serverFixture();
    const signer = new RequestSigner(mallory);

    const { outcome } = await new PieceClient().fetch(
      {
        ...{ address, contentId: PRIVATE, index: 0, row, pacers: [] },
        authorise: (asked) => signer.fields(ticketOf(), asked),
        store: () => Promise.reject(new Error("nothing is to be stored")),
      },
      never,
    );

    expect(outcome).toBe(PieceOutcome.broken);
  });

  test("does not hide what everybody may have", async () => {
    const { address, get } = await serverFixture();
    const path = paths(PUBLIC)[0]!;

    expect((await get(path)).status).toBe(200);
    const headers = new RequestSigner(mallory).fields(ticketOf(), { path, host: address });
    expect((await get(path, headers)).status).toBe(200);
  });
});

describe("T-08: a ticket is refused", () => {
  const path = paths(PRIVATE)[0]!;
  type Fields = Record<string, string>;

  test.each<[string, (host: string) => Fields]>([
    [
      "to another host that copied it, with its own key",
      (host) => new RequestSigner(mallory).fields(ticketOf(), { path, host }),
    ],
    [
      "to another host that shows the key of its owner",
      (host) => ({
        ...new RequestSigner(mallory).fields(ticketOf(), { path, host }),
        "DF-Key": alice.publicKey,
      }),
    ],
    [
      "for another content",
      (host) => new RequestSigner(alice).fields(ticketOf(alice, PUBLIC), { path, host }),
    ],
    [
      "from another cluster",
      (host) => new RequestSigner(alice).fields(ticketOf(alice, PRIVATE, mallory), { path, host }),
    ],
    [
      "with the proof of another path",
      (host) => new RequestSigner(alice).fields(ticketOf(), { path: `${path}0`, host }),
    ],
    [
      "with a proof that was made for another server",
      () => new RequestSigner(alice).fields(ticketOf(), { path, host: "10.0.0.1:65002" }),
    ],
    ["without a proof", () => ({ "DF-Ticket": ticketOf(), "DF-Key": alice.publicKey })],
    [
      "without a key",
      (host) => {
        const { "DF-Key": _, ...rest } = new RequestSigner(alice).fields(ticketOf(), {
          path,
          host,
        });
        return rest;
      },
    ],
  ])("%s", async (_, fields) => {
    const { address, get } = await serverFixture();

    expect((await get(path, fields(address))).status).toBe(401);
    const good = new RequestSigner(alice).fields(ticketOf(), { path, host: address });
    expect((await get(path, good)).status).toBe(200);
  });

  test("with a proof of two minutes ago, and after its end", async () => {
    const { address, get } = await serverFixture();
    const signer = new RequestSigner(alice);
    const ticket = ticketOf();
    const then = signer.fields(ticket, { path, host: address });
    expect((await get(path, then)).status).toBe(200);

    setSystemTime(Date.now() + 120_000);
    const replayed = await get(path, then);
    const again = await get(path, signer.fields(ticket, { path, host: address }));
    setSystemTime(Date.now() + 300_000);
    const ended = await get(path, signer.fields(ticket, { path, host: address }));

    expect([replayed.status, again.status, ended.status]).toEqual([401, 200, 401]);
  });
});
