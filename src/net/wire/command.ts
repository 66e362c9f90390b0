// Orders of the fleet to its machines, on every channel they travel: heartbeat answer (config →
// supernode) and swarm channel (supernode → peer). Delivered at least once and idempotent by
// (command ID, host); what a machine answers is kept until it was heard.

import { z } from "zod";
import { taskSchema } from "./task.ts";

/** Of a preheat: "job-url-round-attempt". */
const id = z.string().regex(/^[0-9a-z-]{1,64}$/i);
const hostId = z.string().regex(/^[0-9a-f]{64}$/);

/** Bring a task's content here before anyone asks, and pin it. */
const preheatSchema = z.object({
  kind: z.literal("preheat"),
  id,
  task: taskSchema,
  /** Hosts that shall have it; null: the supernode itself. A supernode passes it on to those it serves. */
  hosts: z.array(hostId).max(20_000).nullable(),
  /** Seconds since 1970: later it is no longer wanted. */
  expiresAt: z.number().positive(),
});

/** No longer wanted: stop what is under way, drop the pin. */
const cancelSchema = z.object({
  kind: z.literal("cancel"),
  id,
  hosts: z.array(hostId).max(20_000).nullable(),
  expiresAt: z.number().positive(),
});

export const commandSchema = z.discriminatedUnion("kind", [preheatSchema, cancelSchema]);
export type Command = z.infer<typeof commandSchema>;

/** Names what a preheat keeps from eviction: the next round of the same job's URL takes its place. */
export function pinReasonOf(commandId: string): string {
  return `preheat ${commandId.replace(/-\d+-\d+$/, "")}`;
}

export const commandResultSchema = z.object({
  id,
  hostId,
  state: z.enum(["running", "done", "failed"]),
  doneBytes: z.int().min(0).optional(),
  length: z.int().min(0).nullable().optional(),
  error: z.object({ code: z.string().max(64), message: z.string().max(1024) }).optional(),
});
export type CommandResult = z.infer<typeof commandResultSchema>;
