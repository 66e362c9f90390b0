// What changes in a text that is edited in one place, as `diff -u` shows it.

const CONTEXT_LINES = 3;

/** @param before null: there is no such file yet */
export function textDiff(path: string, before: string | null, after: string): string {
  const old = before === null ? [] : linesOf(before);
  const fresh = linesOf(after);
  let same = 0;
  while (same < old.length && same < fresh.length && old[same] === fresh[same]) same++;
  let sameAtEnd = 0;
  while (
    sameAtEnd < Math.min(old.length, fresh.length) - same &&
    old.at(-1 - sameAtEnd) === fresh.at(-1 - sameAtEnd)
  ) {
    sameAtEnd++;
  }
  const start = Math.max(0, same - CONTEXT_LINES);
  const oldEnd = Math.min(old.length, old.length - sameAtEnd + CONTEXT_LINES);
  const freshEnd = Math.min(fresh.length, fresh.length - sameAtEnd + CONTEXT_LINES);
  const range = (lines: number): string => `${lines === 0 ? start : start + 1},${lines}`;
  return [
    `--- ${before === null ? "/dev/null" : path}`,
    `+++ ${path}`,
    `@@ -${range(oldEnd - start)} +${range(freshEnd - start)} @@`,
    ...old.slice(start, same).map((line) => ` ${line}`),
    ...old.slice(same, old.length - sameAtEnd).map((line) => `-${line}`),
    ...fresh.slice(same, fresh.length - sameAtEnd).map((line) => `+${line}`),
    ...old.slice(old.length - sameAtEnd, oldEnd).map((line) => ` ${line}`),
  ].join("\n");
}

/** A last line without an end counts as another line than with one. */
function linesOf(text: string): string[] {
  if (text === "") return [];
  const lines = text.split("\n");
  if (lines.at(-1) === "") return lines.slice(0, -1);
  return [...lines.slice(0, -1), `${lines.at(-1)}\n\\ No newline at end of file`];
}
