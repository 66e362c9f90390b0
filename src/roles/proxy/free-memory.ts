// Frees the memory of bytes that were read for one use, without waiting for the collector.

/**
 * Gives back what the bytes lie in, where that is all theirs: whoever looks at them afterwards finds none.
 * A hundred readers of one content leave 600 MiB a second behind. The collector let 100 to 200 MiB of it
 * lie at a time, and took a third of the CPU time.
 */
export function freeMemoryOf({ buffer, byteLength }: Uint8Array): void {
  if (byteLength === buffer.byteLength) (buffer as ArrayBuffer).transfer(0);
}
