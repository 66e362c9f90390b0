// A folder that stands for "/" of a host with container engines.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface SystemFixture {
  root: string;
  place(path: string, content: string): void;
  read(path: string): string;
  remove(): void;
}

export function systemFixture(): SystemFixture {
  const root = mkdtempSync(join(tmpdir(), "df-runtime-"));
  return {
    root,
    place(path, content) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    },
    read: (path) => readFileSync(join(root, path), "utf8"),
    remove: () => rmSync(root, { recursive: true }),
  };
}
