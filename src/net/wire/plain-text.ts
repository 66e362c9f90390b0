// Text that machines and people give of themselves: PostgreSQL stores no NUL, and one such name would
// refuse the whole batch that it is written with.

import { z } from "zod";

/** @param charsMax UTF-16 units */
export function plainText(charsMax: number) {
  return z
    .string()
    .max(charsMax)
    .refine((text) => !text.includes("\0"), "no NUL");
}
