// What Harbor's preheat drivers say and are answered, and what registries tell of pushes: other programs'
// protocols, so what they send beside this is ignored.
//
//   GET  /healthy      POST /oapi/v1/jobs     GET /oapi/v1/jobs/{number}   driver "dragonfly", 2.1.59
//   GET  /_ping        POST /preheats         GET /preheats/{id}           driver "dragonfly", 0.10.1
//   GET  /health       POST /registry/notifications                        driver "kraken", and registries
//
// @see github.com/goharbor/harbor, src/pkg/p2p/preheat/provider;
//   https://distribution.github.io/distribution/about/notifications/

import { z } from "zod";
import { PREHEAT_URLS_MAX } from "./preheat-api.ts";

const url = z.string().max(8192);
/** Go writes null for what is empty. */
const headers = z
  .record(z.string().max(256), z.string().max(16_384))
  .nullish()
  .transform((given) => given ?? {});

export const harborJobRequestSchema = z.object({
  type: z.literal("preheat"),
  args: z.object({
    type: z.enum(["image", "file"]),
    url: url.default(""),
    urls: z.array(url).max(PREHEAT_URLS_MAX).nullish(),
    headers,
    username: z.string().max(256).default(""),
    password: z.string().max(4096).default(""),
    /** "linux/amd64"; "": as the service chooses. */
    platform: z.string().max(256).default(""),
    tag: z.string().max(256).default(""),
    /** Names with "&" between. */
    filtered_query_params: z.string().max(4096).default(""),
    scope: z.string().max(64).default(""),
    percentage: z.number().gt(0).max(100).nullish(),
    /** Asked for by these, it would be brought to other machines than are meant. */
    count: z.null("hosts cannot be counted out: give a percentage").optional(),
    ips: z.array(z.string()).max(0, "hosts are not named by address: see labels").nullish(),
  }),
});
export type HarborJobRequest = z.infer<typeof harborJobRequestSchema>;

export type HarborJobState = "PENDING" | "SUCCESS" | "FAILURE";

export interface HarborTask {
  url: string;
  hostname: string;
  ip: string;
  /** Of a failure. */
  description?: string;
}

export interface HarborJob {
  /** The driver knows integers alone. */
  id: number;
  created_at: string;
  updated_at: string;
  type: "preheat";
  state: HarborJobState;
  args: { type: "image" | "file"; url: string; scope: string };
  result: {
    job_states: {
      task_uuid: string;
      state: HarborJobState;
      /** "": none. */
      error: string;
      results: {
        success_tasks: HarborTask[];
        failure_tasks: HarborTask[];
        scheduler_cluster_id: number;
      }[];
    }[];
  };
}

export const harborPreheatRequestSchema = z.object({
  type: z.literal("image"),
  url,
  headers,
});

export interface HarborPreheat {
  ID: string;
  /** "": not begun. */
  startTime: string;
  /** "": not over. */
  finishTime: string;
  /** "": none. */
  errorMsg: string;
  status: "WAITING" | "RUNNING" | "SUCCESS" | "FAILED";
}

const eventSchema = z.object({
  action: z.string().max(64).default(""),
  target: z
    .object({
      mediatype: z.string().max(256).default(""),
      url: url.default(""),
    })
    .nullish(),
});

const EVENTS_MAX = 10_000;

/** Some write names in capitals: they are compared as Go does, without regard to that. */
export const registryNotificationSchema = z.preprocess(
  (body) => withSmallNames(body, 4),
  z.object({ events: z.array(eventSchema).max(EVENTS_MAX) }),
);
export type RegistryNotification = z.infer<typeof registryNotificationSchema>;

/** @param depth levels of objects and lists that are looked into */
function withSmallNames(value: unknown, depth: number): unknown {
  if (typeof value !== "object" || value === null || depth === 0) return value;
  if (Array.isArray(value)) return value.map((item) => withSmallNames(item, depth - 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name.toLowerCase(),
      withSmallNames(item, depth - 1),
    ]),
  );
}
