// The Warning field by which registries tell who pulls something: engines show it, and pull all the same.
// @see OCI distribution specification, "Warnings"

/** The specification allows 4,096 bytes with what stands around it. */
const TEXT_CHARS_MAX = 1_024;

/** One warning; characters that a field cannot hold are left out. */
export function formatWarning(text: string): string {
  const shown = text.replace(/[^\x20-\x7e]+/g, " ").slice(0, TEXT_CHARS_MAX);
  return `299 - "${shown.replace(/["\\]/g, "\\$&")}"`;
}
