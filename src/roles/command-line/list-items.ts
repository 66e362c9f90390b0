// Flags and settings that hold a list: repeated, or several with commas between.

/** The items of all texts in their order, without space around them; empty ones are none. */
export function listItems(texts: readonly string[]): string[] {
  return texts
    .flatMap((text) => text.split(","))
    .map((item) => item.trim())
    .filter((item) => item !== "");
}
