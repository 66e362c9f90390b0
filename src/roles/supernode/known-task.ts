// A task that somebody asked for: which version of it joins get, and the answer that is under way.

import type { Seeding } from "./seeding.ts";

export interface KnownTask {
  readonly taskId: string;
  /** Of the request; "" until someone asked. */
  checksum: string;
  current: Seeding | null;
  /** The answer that all who ask meanwhile will get. */
  resolving: Promise<Seeding> | null;
}

export function newTask(taskId: string): KnownTask {
  return { taskId, checksum: "", current: null, resolving: null };
}
