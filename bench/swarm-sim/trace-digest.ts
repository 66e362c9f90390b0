// Sixty-four bits that differ as soon as two runs do anything differently: two lanes of FNV-1a over
// 32-bit words.

export class TraceDigest {
  #low = 0x811c9dc5;
  #high = 0x01000193;

  add(value: number): void {
    this.#low = Math.imul(this.#low ^ (value | 0), 0x01000193);
    this.#high = Math.imul(this.#high ^ (value | 0), 0x85ebca6b) ^ (this.#low >>> 15);
  }

  /** Microseconds and other integers that may pass 32 bits. */
  addWide(value: number): void {
    this.add(value % 0x1_0000_0000);
    this.add(Math.floor(value / 0x1_0000_0000));
  }

  toString(): string {
    const hex = (word: number) => (word >>> 0).toString(16).padStart(8, "0");
    return hex(this.#high) + hex(this.#low);
  }
}
