// Where a URL's bytes go when the user did not say: a file named after the URL's last part.

import { join } from "node:path";

/** wget's name for a URL that ends in a slash. */
const NAMELESS = "index.html";

/** Most file systems stop here. */
const NAME_BYTES_MAX = 255;

/** The file name a URL suggests; never a path, never "-", which would be stdout. */
export function outputNameOf(url: string): string {
  const last = new URL(url).pathname.split("/").at(-1) ?? "";
  const name = decode(last)
    // oxlint-disable-next-line no-control-regex -- a name with control characters would fool a terminal
    .replaceAll(/[/\\\u0000-\u001f\u007f]/g, "_");
  if (["", ".", "..", "-"].includes(name)) return NAMELESS;
  if (Buffer.byteLength(name) <= NAME_BYTES_MAX) return name;
  // Percent signs and all: ASCII, so that characters are bytes.
  return last.slice(0, NAME_BYTES_MAX);
}

/** The path to write to, from `-o` and `--dir`; "-" is stdout. */
export function outputPathOf(url: string, output: string | null, dir: string | null): string {
  if (output === "-") return output;
  const name = output ?? outputNameOf(url);
  return dir === null || name.startsWith("/") ? name : join(dir, name);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
