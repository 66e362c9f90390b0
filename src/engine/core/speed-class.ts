// Speeds in half octaves: coarse enough that the noise of shared links does not matter.

/** Half octaves of a speed in units of 1,024 bytes per second, plus 1; 0: unknown. At most 64. */
export function speedClass(bytesPerSec: number): number {
  const units = Math.min(Math.floor(bytesPerSec / 1024), 0xffff_ffff);
  if (units < 2) return units;
  const octave = 31 - Math.clz32(units);
  return 2 * octave + ((units >>> (octave - 1)) & 1) + 1;
}

/** How many classes there are. */
export const SPEED_CLASSES = 66;
