// Adds one member to a JSON object, and leaves every other byte of its text as it was.

interface Member {
  key: string;
  /** Offsets in the text. */
  keyStart: number;
  valueStart: number;
}

/**
 * Puts a member first.
 * @param text of an object; blank: there is none yet
 * @returns null when the outcome would not be exactly that: a text that is no object, twice the same key
 */
export function withMember(text: string, key: string, value: unknown): string | null {
  if (text.trim() === "") return `${JSON.stringify({ [key]: value }, null, 2)}\n`;
  const before = parseObject(text);
  if (before === null || key in before) return null;
  const first = membersOf(text)[0];
  const after = insertMember(text, first, `${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  return isExactly(after, { ...before, [key]: value }) ? after : null;
}

/** Puts an item first into the array that a member is. @returns null as withMember, or when it is no array */
export function withFirstItem(text: string, key: string, item: string): string | null {
  const before = parseObject(text);
  const items = before?.[key];
  const member = membersOf(text).find((member) => member.key === key);
  if (before === null || !Array.isArray(items) || member === undefined) return null;
  const separator = items.length === 0 ? "" : ", ";
  const at = member.valueStart + 1;
  const after = `${text.slice(0, at)}${JSON.stringify(item)}${separator}${text.slice(at)}`;
  return isExactly(after, { ...before, [key]: [item, ...items] }) ? after : null;
}

/** @returns null for what is no JSON object */
export function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function isExactly(text: string, value: unknown): boolean {
  return Bun.deepEquals(parseObject(text), value, true);
}

function insertMember(text: string, first: Member | undefined, member: string): string {
  const open = text.indexOf("{") + 1;
  if (first === undefined)
    return `${text.slice(0, open)}\n  ${member}\n${text.slice(open).trimStart()}`;
  // As the first member is set off, so is ours.
  const space = text.slice(open, first.keyStart);
  return `${text.slice(0, open)}${space}${member},${space === "" ? " " : space}${text.slice(first.keyStart)}`;
}

/** Members of the outermost object of a valid text. */
function membersOf(text: string): Member[] {
  const members: Member[] = [];
  let depth = 0;
  let key: { text: string; start: number } | null = null;
  let valueStart = -1;
  const endValue = (): void => {
    if (key !== null && valueStart >= 0) {
      members.push({ key: key.text, keyStart: key.start, valueStart });
    }
    key = null;
    valueStart = -1;
  };
  for (const { 0: word, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    if (word === "}" || word === "]") {
      depth--;
      if (depth === 0) endValue();
      continue;
    }
    if (depth === 1 && word === ",") endValue();
    else if (depth === 1 && word !== ":") {
      if (key === null) key = { text: JSON.parse(word) as string, start: index };
      else if (valueStart < 0) valueStart = index;
    }
    if (word === "{" || word === "[") depth++;
  }
  return members;
}
