// One content on its way from the source to the swarm: what of it is there, who takes part, and what
// each of them was told.
//
//   reading ──▶ complete ──▶ (another version is current, last child left) dropped
//      └──────▶ failed: every child is told and the content dropped; the next join begins anew

import { pieceCountOf } from "../../engine/core/piece-layout.ts";
import { PieceSet } from "../../engine/core/piece-set.ts";
import type { ContentIndex } from "../../engine/core/scheduler-events.ts";
import type { DfError } from "../../errors.ts";
import { INLINE_BYTES_MAX } from "../../limits.ts";
import {
  FrameEncoder,
  ROWS_MAX,
  SIGNED_GROUPS_MAX,
  type NumberedRow,
} from "../../net/wire/swarm-frames.ts";
import type { ContentDigests, StoredContent } from "../../store/piece-store.ts";
import type { VersionFreshness } from "../freshness/version-freshness.ts";
import type { ContentSigner } from "../signatures/content-signer.ts";
import type { ConnectedPeer } from "./connected-peer.ts";
import { Requesters } from "./requesters.ts";

/** A child that downloads repeats its pull after 5 s at the latest: silence for longer means that it is done. */
const IN_FLIGHT_MS = 10_000;

/** One peer's part in a content. */
export interface Member {
  readonly peer: ConnectedPeer;
  readonly seeding: Seeding;
  /** Names the content on the peer's channel. */
  readonly handle: number;
  /** How many of the manifest's learned rows the peer was sent. */
  rowsSent: number;
  /** How many of its signed groups. */
  signaturesSent: number;
  /** `performance.now()` when it asked for work last; −Infinity: not yet. */
  pulledAtMs: number;
}

/** A part in which the peer was told nothing yet. @param handle names the content on its channel */
export function newMember(peer: ConnectedPeer, seeding: Seeding, handle: number): Member {
  return { peer, seeding, handle, rowsSent: 0, signaturesSent: 0, pulledAtMs: -Infinity };
}

/** What happens to contents, for the scheduler and the piece server. */
export interface SeedingEvents {
  opened(seeding: Seeding): void;
  /** A piece rests here verified and its row is known. */
  pieceSeeded(seeding: Seeding, piece: number): void;
  /** The length of a content that began without one. */
  lengthKnown(seeding: Seeding): void;
  /** Gone for the swarm; its index is used again. */
  dropped(seeding: Seeding): void;
  warned(message: string): void;
}

type SeedingState =
  | { kind: "reading" }
  | { kind: "complete"; digests: ContentDigests; inline: string | null }
  | { kind: "failed"; error: DfError };

const encoder = new FrameEncoder();

export class Seeding {
  readonly index: ContentIndex;
  readonly stored: StoredContent;
  /** On which terms it may be given to those who ask. */
  readonly freshness: VersionFreshness;
  readonly #signer: ContentSigner;
  /** Of a private content. */
  readonly requesters = new Requesters();
  readonly #children = new Map<ConnectedPeer, Member>();
  /** Resolves when the state is no longer `reading`. */
  readonly settled: Promise<void>;
  /** Keeps the content from eviction while it is read or downloaded; null in between. */
  #release: (() => void) | null;
  readonly #settle: () => void;
  #state: SeedingState = { kind: "reading" };
  /** Body bytes that this process took from the source. */
  sourceBytes = 0;
  /** `performance.now()` when a child last asked for work. */
  #pulledAtMs = -Infinity;
  /** The task has a newer version: only running downloads go on. */
  isRetired = false;

  constructor(
    index: ContentIndex,
    stored: StoredContent,
    parts: { freshness: VersionFreshness; signer: ContentSigner },
  ) {
    this.index = index;
    this.stored = stored;
    this.freshness = parts.freshness;
    this.#signer = parts.signer;
    this.#release = stored.lease();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.settled = promise;
    this.#settle = resolve;
  }

  /** How many peers download it, or are done and give it to others. */
  get childCount(): number {
    return this.#children.size;
  }

  get children(): Iterable<Member> {
    return this.#children.values();
  }

  child(peer: ConnectedPeer): Member | undefined {
    return this.#children.get(peer);
  }

  addChild(member: Member): void {
    this.#children.set(member.peer, member);
    // It will ask for work in a moment.
    this.pulled();
    this.#release ??= this.stored.lease();
    this.stored.touch();
  }

  removeChild(member: Member): void {
    if (this.#children.get(member.peer) === member) this.#children.delete(member.peer);
    this.requesters.remove(member);
    this.#releaseIdle();
  }

  get state(): SeedingState {
    return this.#state;
  }

  /** Null while the length is not known. */
  get pieceCount(): number | null {
    const { length, pieceLength } = this.stored.manifest.layout;
    return length === null ? null : pieceCountOf(length, pieceLength);
  }

  /** Whether the content travels inside the join answer. */
  get isTiny(): boolean {
    const { length } = this.stored.manifest.layout;
    return length !== null && length <= INLINE_BYTES_MAX;
  }

  /** Whether a join may have this version without asking the source: what is in flight, always. */
  get isFresh(): boolean {
    if (this.#state.kind === "complete") return this.freshness.isUsable;
    return this.#state.kind === "reading";
  }

  /** Whether it is being brought, or downloaded by a child. */
  get isInFlight(): boolean {
    if (this.#state.kind === "reading") return true;
    return performance.now() - this.#pulledAtMs < IN_FLIGHT_MS;
  }

  /** A child asked for work. */
  pulled(): void {
    this.#pulledAtMs = performance.now();
  }

  /** Rows were learned. */
  signRows(): void {
    this.#signer.signRows();
  }

  async becomeComplete(digests: ContentDigests): Promise<void> {
    const { length } = this.stored.manifest.layout;
    this.#signer.signWhole(digests);
    // Compressed or sealed pieces are told by rows only.
    const isInline = this.isTiny && this.stored.manifest.isPlain;
    const inline = isInline ? (await this.stored.read(0, length!)).toBase64() : null;
    this.#state = { kind: "complete", digests, inline };
    this.#end();
    for (const member of this.#children.values()) {
      const { peer, handle } = member;
      // Who is told that all is known leaves: what it passes on must be signed by then.
      if (this.wholeSignature !== undefined) this.sendRows(member);
      peer.channel.send({
        ...{ type: "closed", handle, length: length ?? 0, ...digests },
        signature: this.wholeSignature,
      });
    }
  }

  becomeFailed(error: DfError): void {
    this.#state = { kind: "failed", error };
    this.#end();
    for (const { peer, handle } of this.#children.values()) {
      peer.channel.send({ type: "failed", handle, error: error.toWire() });
    }
  }

  /** The fleet's over the whole, base64; undefined: there is none. */
  get wholeSignature(): string | undefined {
    return this.stored.wholeSignature?.toBase64();
  }

  /**
   * Sends a member the rows and signatures it lacks: before any assignment, so that no piece comes
   * without its row, and no signature before its rows.
   */
  sendRows(member: Member): void {
    this.signRows();
    const { learned } = this.stored.manifest;
    while (member.rowsSent < learned.length) {
      const rows: NumberedRow[] = learned
        .slice(member.rowsSent, member.rowsSent + ROWS_MAX)
        .map((piece) => ({ piece, row: this.stored.manifest.row(piece)! }));
      member.rowsSent += rows.length;
      member.peer.channel.sendFrame(encoder.rows(member.handle, rows));
    }
    this.#sendSignatures(member);
  }

  #sendSignatures(member: Member): void {
    const { manifest } = this.stored;
    const { signedGroups } = manifest;
    while (member.signaturesSent < signedGroups.length) {
      const groups = signedGroups
        .slice(member.signaturesSent, member.signaturesSent + SIGNED_GROUPS_MAX)
        .map((group) => ({ group, signature: manifest.signature(group)! }));
      member.signaturesSent += groups.length;
      member.peer.channel.sendFrame(encoder.signed(member.handle, groups));
    }
  }

  /**
   * Reads a bitmap that a peer sent, base64 of PieceSet.toBytes; pieces without a row are left out,
   * because nobody could check them. Null when it is no bitmap of this content.
   */
  readBitmap(base64: string): Uint32Array | null {
    let bytes: Uint8Array;
    try {
      bytes = Uint8Array.fromBase64(base64);
    } catch {
      return null;
    }
    const { manifest } = this.stored;
    const told = PieceSet.fromBytes(this.pieceCount ?? bytes.length * 8, bytes);
    if (told === null) return null;
    for (const piece of told) if (manifest.row(piece) === undefined) told.delete(piece);
    return told.words;
  }

  #end(): void {
    this.requesters.clear();
    this.#settle();
    this.#releaseIdle();
  }

  #releaseIdle(): void {
    if (this.#children.size > 0 || this.#state.kind === "reading") return;
    this.#release?.();
    this.#release = null;
  }
}
