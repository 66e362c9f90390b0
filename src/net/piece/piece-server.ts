// Serves verified pieces over HTTP: from a supernode's seed store and from a peer to its children
// alike. Runs in the piece worker, because `sendfile` of a cold page stalls the thread. Knows data
// files and bitmaps only; which contents there are, the main thread says.

import {
  admissionBytesThroughAll,
  admitThroughAll,
  type Pacer,
} from "../../engine/bytes/pacing.ts";
import type { Secret } from "../../engine/bytes/secret.ts";
import { pieceLengthAt, pieceOffset, type PieceLayout } from "../../engine/core/piece-layout.ts";
import { RANGE_BYTES_MAX } from "../../limits.ts";
import { UploadShares } from "./upload-shares.ts";
import { ADDRESS_PATH, NONCE_PATTERN, proveAddress } from "../wire/address-proof.ts";
import { FORM_FIELD, formField } from "../wire/piece-api.ts";
import { TicketCheck } from "../wire/piece-ticket.ts";
import { RequestCheck } from "../wire/ticketed-request.ts";

/** A content as the server needs it: where the bytes lie and which of them are verified. */
export interface ServedContent {
  /** Data file with the wire form of each piece at the piece's natural offset. */
  path: string;
  layout: PieceLayout;
  /**
   * Two words a piece, on shared memory like `words`: bytes of its wire form (0: not known yet, so not
   * here), and the mark of the form. @defaultValue all pieces are plain
   */
  wireForms?: Uint32Array;
  /** Bitmap of verified pieces as in PieceSet, on shared memory: the main thread adds to it. */
  words: Uint32Array;
  /** How many bits of `words` count. */
  pieceCount: number;
  /** Given against tickets alone. @defaultValue false */
  isPrivate?: boolean;
}

/** Gives what is known of a content from a number on; null: nothing. */
export type Teller = (contentId: string, from: number) => Promise<Uint8Array | null>;

export interface PieceServerOptions {
  hostname: string;
  /** 0: any free port. */
  port: number;
  /** Uploads at once; 0 refuses all. */
  uploadSlots: number;
  /** The limits that every byte passes before it leaves. */
  pacers: readonly Pacer[];
  /** A frame of the rows that this host knows at first hand, from the `from`-th on. @defaultValue none are told */
  rows?: Teller;
  /** An answer of what bears the fleet's signature (signatures-api.ts). @defaultValue nothing does */
  signatures?: Teller;
  /** Whose piece server this is (key: PKCS #8 DER, base64). @defaultValue it proves no address */
  identity?: { hostId: string; privateKey: Secret<string> };
}

/**
 * An upload without progress holds its slot this long, and a connection lives so long between pieces.
 * A child gives up a parent that stalls for 5 s, and its owner misses a dead host within 30 s.
 */
const IDLE_TIMEOUT_SECONDS = 30;

/** Nobody has a reason to send a piece server a body. */
const REQUEST_BODY_BYTES_MAX = 1024;

const CONTENT_PATH = /^\/v1\/[a-z]+\/([0-9a-f]{64})(?:\/|$)/;
const PIECE_PATH = /^\/v1\/pieces\/([0-9a-f]{64})\/(0|[1-9]\d{0,8})$/;
const HAVE_PATH = /^\/v1\/have\/([0-9a-f]{64})$/;
const ROWS_PATH = /^\/v1\/rows\/([0-9a-f]{64})$/;
const SIGNATURES_PATH = /^\/v1\/signatures\/([0-9a-f]{64})$/;
const FROM_QUERY = /^\?from=(\d{1,9})$/;
const ADDRESS_QUERY = /^\?nonce=(.*)$/;
const RANGE = /^bytes=(\d{1,15})-(\d{0,15})$/;

/** An HTTP server of verified pieces; listens from construction on. */
export class PieceServer {
  readonly #contents = new Map<string, ServedContent>();
  readonly #server: Bun.Server<undefined>;
  readonly #pacers: readonly Pacer[];
  readonly #rowsOf: Teller | undefined;
  readonly #signaturesOf: Teller | undefined;
  readonly #identity: PieceServerOptions["identity"];
  /** Null: nobody's tickets count here. */
  #tickets: RequestCheck | null = null;
  readonly #shares = new UploadShares();
  #uploadSlots: number;
  #used = new Set<string>();
  #uploadedBytes = 0;
  #uploadCount = 0;

  /** @throws what Bun.serve throws when the address cannot be bound (`code` EADDRINUSE, EACCES…) */
  constructor(options: PieceServerOptions) {
    this.#pacers = options.pacers;
    this.#rowsOf = options.rows;
    this.#signaturesOf = options.signatures;
    this.#identity = options.identity;
    this.#uploadSlots = options.uploadSlots;
    this.#server = Bun.serve({
      hostname: options.hostname,
      port: options.port,
      development: false,
      // Bun shares a port between processes unless it is told not to: a second peer would take
      // half of the first one's children, and have none of its pieces.
      reusePort: false,
      idleTimeout: IDLE_TIMEOUT_SECONDS,
      maxRequestBodySize: REQUEST_BODY_BYTES_MAX,
      fetch: (request) => this.#answer(request),
      error: refusalOf,
    });
  }

  get port(): number {
    return this.#server.port!;
  }

  /** Bytes handed to the kernel since the start. */
  get uploadedBytes(): number {
    return this.#uploadedBytes;
  }

  /** Pieces and parts of pieces that were answered since the start. */
  get uploadCount(): number {
    return this.#uploadCount;
  }

  /** Requests that are being answered now. */
  get activeUploads(): number {
    return this.#server.pendingRequests;
  }

  /** Contents that were uploaded from since the last call. */
  takeUsed(): string[] {
    const used = [...this.#used];
    this.#used.clear();
    return used;
  }

  /** Offers a content, or replaces what was offered under its ID. */
  serve(contentId: string, content: ServedContent): void {
    this.#contents.set(contentId, content);
  }

  remove(contentId: string): void {
    this.#contents.delete(contentId);
  }

  /**
   * Gives private contents against tickets of this cluster from now on.
   * @param clusterKey Ed25519 SPKI DER, base64; null: they are given to nobody
   */
  trust(clusterKey: string | null): void {
    this.#tickets = clusterKey === null ? null : new RequestCheck(new TicketCheck(clusterKey));
  }

  setUploadSlots(uploadSlots: number): void {
    this.#uploadSlots = uploadSlots;
  }

  /** Refuses new connections and closes the open ones at once. */
  async stop(): Promise<void> {
    await this.#server.stop(true);
  }

  async #answer(request: Request): Promise<Response> {
    if (request.method !== "GET") return refusal(405, "only GET is served here", { allow: "GET" });
    const target = targetOf(request.url);
    const queryAt = target.indexOf("?");
    const path = queryAt < 0 ? target : target.slice(0, queryAt);
    const query = queryAt < 0 ? "" : target.slice(queryAt);
    const content = CONTENT_PATH.exec(path);
    // On a thread of its own: who ordered that it be served told children after that, but the order may
    // wait behind their requests. Taken for missing, they would leave this parent alone for seconds.
    if (content !== null && !this.#contents.has(content[1]!)) await nextTurn();
    const refused = content === null ? null : this.#refusedTo(request, content[1]!, target);
    if (refused !== null) return refused;
    const piece = PIECE_PATH.exec(path);
    if (piece !== null) return this.#piece(request, piece[1]!, Number(piece[2]));
    const have = HAVE_PATH.exec(path);
    if (have !== null) return this.#have(have[1]!);
    const rows = ROWS_PATH.exec(path);
    if (rows !== null) return tell(this.#rowsOf, rows[1]!, query, "application/octet-stream");
    const signed = SIGNATURES_PATH.exec(path);
    if (signed !== null) return tell(this.#signaturesOf, signed[1]!, query, "application/json");
    if (path === ADDRESS_PATH) return this.#address(query);
    return refusal(404, "no such path");
  }

  /**
   * Null: the request may be answered. Nobody without the right learns whether a private content is
   * here: it is answered for as one that is not, without a ticket and with one that does not count.
   */
  #refusedTo(request: Request, contentId: string, target: string): Response | null {
    const content = this.#contents.get(contentId);
    if (content !== undefined && content.isPrivate !== true) return null;
    if (!request.headers.has("df-ticket")) return refusal(404, "this content is not here");
    if (this.#tickets?.isAuthorised(contentId, target, request.headers) === true) return null;
    return refusal(401, "the ticket does not count", { "www-authenticate": "DF-Ticket" });
  }

  async #piece(request: Request, contentId: string, index: number): Promise<Response> {
    if (!this.#has(contentId, index)) return refusal(404, "this piece is not here");
    if (!isFormAsked(this.#contents.get(contentId)!, index, request.headers.get(FORM_FIELD)))
      return refusal(404, "this piece is here in another form");
    const wireLength = wireLengthAt(this.#contents.get(contentId)!, index);
    const range = rangeOf(request.headers.get("range"), wireLength);
    if (range === null)
      return refusal(416, "the range does not lie within the piece", {
        "content-range": `bytes */${wireLength}`,
      });
    // Counts this request too. It stays pending until the kernel took its last byte.
    if (!this.#hasPlaceFor(request))
      return refusal(503, "all upload slots are taken", { "retry-after": "1" });

    const partBytesMax = admissionBytesThroughAll(this.#pacers);
    const length = range.isAsked ? Math.min(range.length, partBytesMax) : range.length;
    await admitThroughAll(this.#pacers, length, request.signal);
    // The wait may have outlived the content, or this form of the piece.
    const content = this.#contents.get(contentId);
    if (content === undefined || !this.#has(contentId, index))
      return refusal(404, "this piece is not here");
    const isSameForm = isFormAsked(content, index, request.headers.get(FORM_FIELD));
    if (!isSameForm || wireLengthAt(content, index) !== wireLength)
      return refusal(404, "this piece is here in another form");

    this.#used.add(contentId);
    this.#uploadedBytes += length;
    this.#uploadCount++;
    const start = pieceOffset(content.layout, index) + range.start;
    const isWhole = length === wireLength && !range.isAsked;
    // Bun answers a slice with 206 and a Content-Range of its own unless both are set here.
    return new Response(Bun.file(content.path).slice(start, start + length), {
      status: isWhole ? 200 : 206,
      headers: {
        "content-type": "application/octet-stream",
        ...(isWhole
          ? {}
          : { "content-range": `bytes ${range.start}-${range.start + length - 1}/${wireLength}` }),
      },
    });
  }

  #hasPlaceFor(request: Request): boolean {
    const from = this.#server.requestIP(request);
    const pending = this.#server.pendingRequests;
    const now = { pending, slots: this.#uploadSlots, nowMs: performance.now() };
    return from !== null && this.#shares.admits(from, now);
  }

  /** Invariant: only pieces whose bit is set are ever read from the data file. */
  #has(contentId: string, index: number): boolean {
    const content = this.#contents.get(contentId);
    if (content === undefined || index >= content.pieceCount) return false;
    // The bit may be seen before the length.
    if (wireLengthAt(content, index) === 0) return false;
    return (Atomics.load(content.words, index >>> 5) & (1 << (index & 31))) !== 0;
  }

  #have(contentId: string): Response {
    const content = this.#contents.get(contentId);
    if (content === undefined) return refusal(404, "this content is not here");
    const bytes = new Uint8Array((content.pieceCount + 7) >>> 3);
    for (let i = 0; i < bytes.length; i++)
      bytes[i] = Atomics.load(content.words, i >>> 2) >>> ((i & 3) << 3);
    return new Response(bytes, { headers: { "content-type": "application/octet-stream" } });
  }

  /** Proves to who dials this address whose it is. */
  #address(query: string): Response {
    const nonce = ADDRESS_QUERY.exec(query)?.[1] ?? "";
    if (!NONCE_PATTERN.test(nonce)) return refusal(400, "write ?nonce=<32 hex digits>");
    if (this.#identity === undefined) return refusal(404, "no address is proven here");
    return new Response(proveAddress(nonce, this.#identity));
  }
}

function wireLengthAt({ wireForms, layout }: ServedContent, index: number): number {
  return wireForms === undefined
    ? pieceLengthAt(layout, index)
    : Atomics.load(wireForms, 2 * index);
}

/** A child that names no form takes what it gets. */
function isFormAsked({ wireForms }: ServedContent, index: number, asked: string | null): boolean {
  if (wireForms === undefined || asked === null) return true;
  return asked === formField(Atomics.load(wireForms, 2 * index + 1));
}

/** Answers with what is known of a content from a number on. */
async function tell(
  source: Teller | undefined,
  contentId: string,
  query: string,
  type: string,
): Promise<Response> {
  const from = FROM_QUERY.exec(query)?.[1];
  if (from === undefined) return refusal(400, "write ?from=<number>");
  const bytes = await source?.(contentId, Number(from));
  if (bytes === undefined || bytes === null) return refusal(404, "nothing of it is told here");
  return new Response(bytes as Uint8Array<ArrayBuffer>, { headers: { "content-type": type } });
}

/** Path and query of an absolute request URL. */
function targetOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  return start < 0 ? "/" : url.slice(start);
}

/**
 * The bytes of a piece that a request asks for; null when it asks for something else than one
 * range within it (RFC 9110 §14.1). A long range is answered with its first part (one admission), which §15.3.7
 * allows; a whole piece that is longer than one part must be asked for with a range.
 */
function rangeOf(
  header: string | null,
  wireLength: number,
): { start: number; length: number; isAsked: boolean } | null {
  if (header === null)
    return wireLength > RANGE_BYTES_MAX ? null : { start: 0, length: wireLength, isAsked: false };
  const match = RANGE.exec(header);
  if (match === null) return null;
  const start = Number(match[1]);
  const end = Math.min(match[2] === "" ? wireLength : Number(match[2]) + 1, wireLength);
  return start < end ? { start, length: end - start, isAsked: true } : null;
}

/** Lets what came to this thread before now be heard. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

function refusal(status: number, reason: string, headers: Record<string, string> = {}): Response {
  return new Response(`${reason}\n`, { status, headers });
}

/** Only a data file that went away says that the piece did: its content was just evicted. */
function refusalOf(error: Error & { code?: string }): Response {
  if (error.code === "ENOENT") return refusal(404, "the piece is gone");
  return refusal(500, "the piece could not be read");
}
