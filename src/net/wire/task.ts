// What makes a task's bytes differ, as every message names it; the receiver computes the task ID from it.

import { z } from "zod";

export const taskSchema = z.object({
  url: z.string().max(8192),
  headers: z.record(z.string().max(256), z.string().max(8192)).default({}),
  tag: z.string().max(256).default(""),
  filterQuery: z.array(z.string().max(256)).max(64).default([]),
  checksum: z.string().max(160).default(""),
});
export type TaskRequest = z.infer<typeof taskSchema>;
