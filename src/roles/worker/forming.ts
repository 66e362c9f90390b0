// What a read makes of pieces that no row describes yet.

export interface Forming {
  /** Whether they are compressed where that shrinks them. */
  compresses: boolean;
  /** 32 bytes with which they are sealed; null: they are not. */
  key: Uint8Array | null;
}
