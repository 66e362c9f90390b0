// Adds to a TOML document by inserting lines, and leaves every other byte of its text as it was. Whether the
// outcome means exactly what it should, a parser says: what the lines seemed to be does not count.

type Table = Record<string, unknown>;

/** @returns null for what is no TOML */
export function parseToml(text: string): Table | null {
  try {
    return Bun.TOML.parse(text) as Table;
  } catch {
    return null;
  }
}

/** The value at a path of keys; undefined where there is none. */
export function valueAt(table: unknown, path: readonly string[]): unknown {
  let value = table;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Table)[key];
  }
  return value;
}

/**
 * Sets a text in a table, which is made at the end where there is none.
 * @returns null when the document cannot be edited so that it means exactly that
 */
export function withText(
  text: string,
  { table, key, value }: { table: readonly string[]; key: string; value: string },
): string | null {
  const before = parseToml(text);
  if (before === null) return null;
  const line = `${key} = ${JSON.stringify(value)}`;
  const lines = text.split("\n");
  const header = headersOf(lines).find((header) => !header.isArray && isSame(header.path, table));
  if (header === undefined) {
    const gap = text === "" || text.endsWith("\n\n") ? "" : text.endsWith("\n") ? "\n" : "\n\n";
    const name = table.map((part) => (/^[\w-]+$/.test(part) ? part : JSON.stringify(part)));
    return verified(`${text}${gap}[${name.join(".")}]\n  ${line}\n`);
  }
  const end = endOf(lines, header.index);
  const present = lines.findIndex(
    (each, i) => i > header.index && i < end && new RegExp(`^\\s*${key}\\s*=`).test(each),
  );
  if (present >= 0) {
    const indent = /^\s*/.exec(lines[present]!)![0];
    const comment = /\s+#[^"']*$/.exec(lines[present]!)?.[0] ?? "";
    return verified(lines.with(present, `${indent}${line}${comment}`).join("\n"));
  }
  const indent = /^\s*/.exec(lines[header.index]!)![0];
  return verified(lines.toSpliced(header.index + 1, 0, `${indent}  ${line}`).join("\n"));

  function verified(after: string): string | null {
    const wanted = structuredClone(before) as Table;
    setAt(wanted, [...table, key], value);
    return Bun.deepEquals(parseToml(after), wanted, true) ? after : null;
  }
}

/**
 * Puts a block, a table of its own with header and keys, before all others of its kind.
 * @param isBefore whether a header's path is one that the block must precede; else it comes last
 * @param wanted what the whole means afterwards
 */
export function withBlock(
  text: string,
  block: string,
  isBefore: (path: readonly string[], index: number) => boolean,
  wanted: Table,
): string | null {
  const lines = text.split("\n");
  const next = headersOf(lines).find(({ path }, index) => isBefore(path, index));
  const gap = text === "" || text.endsWith("\n") ? "" : "\n";
  const after =
    next === undefined
      ? `${text}${gap}${text === "" ? "" : "\n"}${block}\n`
      : lines.toSpliced(next.index, 0, ...block.split("\n"), "").join("\n");
  return Bun.deepEquals(parseToml(after), wanted, true) ? after : null;
}

export interface TomlHeader {
  /** Index of its line. */
  index: number;
  path: readonly string[];
  /** Of an array of tables: "[[a.b]]". */
  isArray: boolean;
}

/** Lines that look like headers; one within a text of several lines is among them, and a parser tells. */
export function headersOf(lines: readonly string[]): TomlHeader[] {
  return lines.flatMap((line, index) => {
    const match = /^\s*(\[\[?)\s*([^[\]]+?)\s*\]\]?\s*(?:#.*)?$/.exec(line);
    if (match === null) return [];
    const keys = match[2]!.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|([\w-]+)/g);
    const path = [...keys].map(([, quoted, literal, bare]) => quoted ?? literal ?? bare!);
    return [{ index, path, isArray: match[1] === "[[" }];
  });
}

/** Where a table's own lines end. */
function endOf(lines: readonly string[], header: number): number {
  return headersOf(lines).find(({ index }) => index > header)?.index ?? lines.length;
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((key, i) => key === other[i]);
}

function setAt(table: Table, [key, ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    table[key!] = value;
    return;
  }
  const inner = table[key!];
  if (typeof inner !== "object" || inner === null) table[key!] = {};
  setAt(table[key!] as Table, rest, value);
}
