// One content at rest: a sparse data file with every piece's wire form at its natural offset, the
// manifest, and the set of pieces that may be served.
//
//   row added ─▶ bytes written ─▶ committed (in `have`) ─▶ … all ─▶ complete (synced, digests kept)
//        ▲                             │ dropped, or hashed anew and found wrong
//        └─────────────────────────────┘
//
// After an unclean stop, or when the data file changed behind our back, journalled pieces are in
// doubt: neither in `have` nor fetched again until `verify` has hashed them.

import { dirname } from "node:path";
import type { KeptAnswer } from "../engine/core/freshness.ts";
import { assert } from "../engine/core/machine.ts";
import { Manifest, type PieceBytes, type PieceRow } from "../engine/core/manifest.ts";
import { pieceCountOf, pieceOffset } from "../engine/core/piece-layout.ts";
import { PieceSet } from "../engine/core/piece-set.ts";
import type { Secret } from "../engine/bytes/secret.ts";
import { DfError, messageOf } from "../errors.ts";
import { ContentHolds } from "./content-holds.ts";
import { piecesInDoubt, type ContentStart, type ContentSurroundings } from "./content-start.ts";
import type { ContentState } from "./journal.ts";
import { isRightOnDisk, looksLikeHole } from "./piece-on-disk.ts";
import type { ContentDigests, ContentFacts, StoredContent } from "./piece-store.ts";
import { PlainReads } from "./plain-reads.ts";
import { SharedPieces } from "./shared-pieces.ts";
import { syncFolder } from "./sync-folder.ts";

export class ContentOnDisk implements StoredContent {
  readonly manifest: Manifest;
  readonly dataPath: string;
  readonly createdAt: number;
  readonly #facts: ContentFacts;
  readonly #around: ContentSurroundings;
  readonly #plain: PlainReads;
  readonly #holds: ContentHolds;
  readonly #pieces: SharedPieces;
  /** Pieces that `verify` has yet to hash; null: none. */
  #inDoubt: PieceSet | null = null;
  /** Those of them that the journal calls verified. */
  #claimed: PieceSet;
  #verifying: Promise<void> | null = null;
  #isVerifyAwaited = false;
  #digests: ContentDigests | null;
  #wholeSignature: Uint8Array | null;
  #dataStamp: string | null;
  #answer: KeptAnswer | null;
  #usedAt: number;
  #isDropped = false;
  #sums: PieceBytes | null = null;

  constructor(start: ContentStart, around: ContentSurroundings) {
    this.#facts = start.facts;
    this.#around = around;
    this.dataPath = start.dataPath;
    this.manifest = new Manifest(start.facts.layout);
    this.#plain = new PlainReads({
      ...{ contentId: start.facts.contentId, dataPath: this.dataPath, manifest: this.manifest },
      ...{ files: around.files, decoded: around.decoded },
      onDamaged: (index) => this.dropPiece(index),
    });
    for (const { group, signature } of start.signatures)
      this.manifest.addSignature(group, signature);
    const { size } = start.journalled;
    this.#pieces = new SharedPieces(size);
    for (const { index, row } of start.rows) this.#setRow(index, row);
    this.#claimed = new PieceSet(size);
    if (start.isTrusted) for (const index of start.journalled) this.have.add(index);
    else this.#doubt(start);
    this.#digests = start.digests;
    this.#wholeSignature = start.wholeSignature;
    this.#dataStamp = start.dataStamp;
    this.#answer = start.facts.answer;
    this.createdAt = start.createdAt;
    this.#usedAt = start.usedAt;
    this.#holds = new ContentHolds(start.pins);
  }

  get facts(): ContentFacts {
    return { ...this.#facts, layout: this.manifest.layout, answer: this.#answer };
  }

  get have(): PieceSet {
    return this.#pieces.have;
  }

  get wireForms(): Uint32Array {
    return this.#pieces.wireForms;
  }

  get key(): Secret<Uint8Array> | null {
    return this.#plain.key;
  }

  get digests(): ContentDigests | null {
    return this.#inDoubt === null ? this.#digests : null;
  }

  get recordedDigests(): ContentDigests | null {
    return this.#digests;
  }

  get wholeSignature(): Uint8Array | null {
    return this.#wholeSignature;
  }

  get usedAt(): number {
    return this.#usedAt;
  }

  get isLeased(): boolean {
    return this.#holds.isLeased;
  }

  get isPinned(): boolean {
    return this.#holds.isPinned;
  }

  get isKept(): boolean {
    return this.#holds.isKept;
  }

  /** Bytes of pieces that are on disk. */
  get storedBytes(): number {
    const { layout, isPlain } = this.manifest;
    if (!isPlain) return this.#formed.wireBytes;
    const count = this.have.count + this.#claimed.count;
    return Math.min(count * layout.pieceLength, layout.length ?? Infinity);
  }

  /** Bytes it takes once it is complete, missing pieces as plain ones; of an unknown length, what is there. */
  get fullBytes(): number {
    const { length } = this.manifest.layout;
    if (length === null) return this.storedBytes;
    if (this.manifest.isPlain) return length;
    const { plainBytes, wireBytes } = this.#formed;
    return length - (plainBytes - wireBytes);
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const { pieceLength } = this.manifest.layout;
    const index = Math.floor(offset / pieceLength);
    assert(offset + bytes.length <= (index + 1) * pieceLength, "a write stays within one piece");
    if (this.have.has(index)) return;
    await this.#around.diskPacer.admit(bytes.length);
    this.#refuseIfDropped();
    await this.#around.files.write(this.dataPath, offset, bytes);
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.#refuseIfDropped();
    return this.#plain.read(offset, length);
  }

  unlock(key: Uint8Array): void {
    this.#plain.unlock(key);
  }

  addRow(index: number, row: PieceRow): void {
    if (this.#isDropped) return; // The journal would refuse it, and with it all that waits beside.
    if (this.manifest.row(index) === undefined)
      this.#around.journal.noteRow(this.#facts.contentId, index, row);
    this.#growTo(index + 1);
    this.#setRow(index, row);
  }

  replaceRow(index: number, row: PieceRow): void {
    if (this.#isDropped) return;
    this.dropPiece(index);
    this.#around.journal.noteRow(this.#facts.contentId, index, row);
    this.manifest.replace(index, row);
    this.#pieces.setRow(index, row);
  }

  addSignature(group: number, signature: Uint8Array): void {
    if (this.#isDropped) return;
    this.manifest.addSignature(group, signature);
    this.#around.journal.noteSignature(this.#facts.contentId, group, signature);
  }

  noteWholeSignature(signature: Uint8Array): void {
    this.#wholeSignature = signature;
    this.#noteChange();
  }

  commitPiece(index: number): void {
    if (this.#isDropped) return;
    const row = this.manifest.row(index);
    assert(row !== undefined, "a piece is committed after its row is known");
    this.#forgetDoubt(index);
    if (!this.have.add(index)) return;
    this.#dataStamp = null;
    this.#around.journal.noteCommit(this.#facts.contentId, index, row);
    if (this.manifest.layout.length === null) this.#around.grew(row.wireLength);
    this.#noteChange();
  }

  dropPiece(index: number): void {
    this.#forgetDoubt(index);
    this.have.delete(index);
    this.#digests = null;
    this.#noteChange();
  }

  setLength(length: number): void {
    this.manifest.close(length);
    const count = pieceCountOf(length, this.manifest.layout.pieceLength);
    this.#growTo(count);
    if (this.have.size === count) return;
    assert(
      [...this.have].every((index) => index < count),
      "no piece lies past a content's end",
    );
    this.#pieces.becomeSize(count);
    this.#noteChange();
  }

  async complete(digests: ContentDigests): Promise<void> {
    const { length } = this.manifest.layout;
    assert(length !== null && this.have.isFull, "a complete content has a length and every piece");
    const { files } = this.#around;
    try {
      // An interrupted read of another length may have left more behind the end.
      await files.resize(this.dataPath, length);
      await files.sync(this.dataPath);
    } catch (error) {
      // After a failed sync the kernel may call lost pages clean: nothing of the file can be believed.
      for (const index of [...this.have]) this.dropPiece(index);
      throw error;
    }
    this.#dataStamp = await files.stamp(this.dataPath);
    this.#digests = digests;
    this.#around.completed(this.#facts.contentId);
    this.#noteChange();
    this.#around.journal.flush();
    await syncFolder(dirname(this.dataPath));
  }

  noteAnswer(answer: KeptAnswer): void {
    this.#answer = answer;
    this.#noteChange();
  }

  lease(): () => void {
    return this.#holds.lease();
  }

  touch(): void {
    this.#usedAt = this.#around.nextUse();
    this.#noteChange();
  }

  noteRead(): void {
    this.#holds.noteRead();
    this.touch();
  }

  pin(reason: string, expiresAt: number): void {
    this.#refuseIfDropped();
    this.#around.journal.pin(this.#facts.contentId, reason, expiresAt);
    this.#holds.pin(reason, expiresAt);
  }

  unpin(reason: string): void {
    if (!this.#holds.unpin(reason) || this.#isDropped) return;
    this.#around.journal.unpin(this.#facts.contentId, reason);
  }

  verify(): Promise<void> {
    this.#isVerifyAwaited = true;
    return this.verifyGently();
  }

  /** Verifies as well, sparing the disk until someone awaits it. */
  verifyGently(): Promise<void> {
    return (this.#verifying ??= this.#verifyInDoubt());
  }

  /** Takes every piece back and refuses further use; the caller deletes the file. */
  becomeDropped(): void {
    this.#isDropped = true;
    this.#inDoubt = null;
    this.#claimed = new PieceSet(0);
    for (const index of [...this.have]) this.have.delete(index);
  }

  /** Syncs what was written since the last stamp, so that a clean stop may vouch for it. */
  async seal(): Promise<void> {
    if (this.#inDoubt !== null || this.#dataStamp !== null || this.#isDropped) return;
    try {
      await this.#around.files.sync(this.dataPath);
      this.#dataStamp = await this.#around.files.stamp(this.dataPath);
      this.#noteChange();
    } catch (error) {
      this.#warn(`${messageOf(error)}; its pieces will be checked at the next start`);
    }
  }

  /** What the journal is to keep. Claims stay until they are checked: a second crash must not forget them. */
  get state(): ContentState {
    const all = new PieceSet(this.have.size, this.have.words.slice());
    for (const index of this.#claimed) all.add(index);
    return {
      length: this.manifest.layout.length,
      have: all.toBytes(),
      digests: this.#digests,
      wholeSignature: this.#wholeSignature,
      dataStamp: this.#inDoubt === null ? this.#dataStamp : null,
      answer: this.#answer,
      usedAt: this.#usedAt,
    };
  }

  async #verifyInDoubt(): Promise<void> {
    if (this.#inDoubt === null) return;
    const stamp = await this.#around.files.stamp(this.dataPath);
    let wrongCount = 0;
    for (const index of [...this.#inDoubt]) {
      const isRight = await this.#isRight(index);
      if (this.#isDropped || this.#around.closing.aborted) return;
      // Committed or dropped meanwhile: that was the later word.
      if (!this.#inDoubt.delete(index)) continue;
      const wasClaimed = this.#claimed.delete(index);
      if (isRight) this.have.add(index);
      else if (wasClaimed) wrongCount++;
    }
    this.#inDoubt = null;
    if (!this.have.isFull) this.#digests = null;
    if (wrongCount === 0) this.#dataStamp = stamp;
    else this.#warn(`${wrongCount} pieces on disk are wrong and will be fetched again`);
    this.#noteChange();
    this.#around.onVerified(this);
  }

  async #isRight(index: number): Promise<boolean> {
    const { files, diskPacer, backgroundPacer, closing } = this.#around;
    const { layout } = this.manifest;
    const row = this.manifest.row(index);
    if (row === undefined) return false;
    const piece = { path: this.dataPath, offset: pieceOffset(layout, index), row };
    try {
      if (!this.#claimed.has(index) && (await looksLikeHole(files, piece))) return false;
      if (!this.#isVerifyAwaited) await backgroundPacer.admit(row.wireLength, closing);
      await diskPacer.admit(row.wireLength, closing);
      return !this.#isDropped && (await isRightOnDisk(files, piece));
    } catch (error) {
      // A file that ends early has no more pieces; only for claimed ones that is news.
      if (!closing.aborted && this.#claimed.has(index))
        this.#warn(`piece ${index}: ${messageOf(error)}`);
      return false;
    }
  }

  #warn(message: string): void {
    this.#around.onWarning(`content ${this.#facts.contentId}: ${message}`);
  }

  #setRow(index: number, row: PieceRow): void {
    this.manifest.append(index, row);
    this.#pieces.setRow(index, row);
  }

  /** Of the pieces on disk. Added up again only after a change: a store asks all its contents at once. */
  get #formed(): PieceBytes {
    this.#sums ??= this.manifest.bytesOf([...this.have, ...this.#claimed]);
    return this.#sums;
  }

  #growTo(count: number): void {
    assert(
      this.manifest.layout.length === null ||
        count <= pieceCountOf(this.manifest.layout.length, this.manifest.layout.pieceLength),
      "a piece lies within the content",
    );
    if (this.#pieces.growTo(count)) this.#noteChange();
  }

  #doubt(start: ContentStart): void {
    const inDoubt = piecesInDoubt(start);
    if (inDoubt.count === 0) return;
    this.#inDoubt = inDoubt;
    this.#claimed = start.journalled;
  }

  #forgetDoubt(index: number): void {
    this.#inDoubt?.delete(index);
    this.#claimed.delete(index);
  }

  #noteChange(): void {
    this.#sums = null;
    if (!this.#isDropped) this.#around.journal.noteChange(this.#facts.contentId, () => this.state);
  }

  #refuseIfDropped(): void {
    if (!this.#isDropped) return;
    throw new DfError("unavailable", `use content ${this.#facts.contentId}: it was evicted`, {
      taskId: this.#facts.taskId,
    });
  }
}
