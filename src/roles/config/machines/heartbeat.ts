// POST /api/v1/heartbeat: a supernode renews its lease, brings results, and takes members, upstream,
// settings and commands back.

import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { DfError } from "../../../errors.ts";
import {
  type Heartbeat,
  type HeartbeatAnswer,
  heartbeatAnswerSchema,
  heartbeatSchema,
} from "../../../net/wire/fleet-api.ts";
import { selectorSchema, settingsSchema } from "../../../net/wire/fleet-settings.ts";
import { forgetChannels, saveChannels } from "../../../store/fleet-database/hosts.ts";
import type { SupernodeRow } from "../../../store/fleet-database/supernodes.ts";
import { jsonAnswer, jsonBody, type Resource } from "../config-app.ts";
import type { ConfigParts } from "../config-parts.ts";

/** As many as the answer's schema takes; the newest matter most. */
const REVOKED_MAX = 10_000;
const MEMBERS_MAX = 1_024;

/** As it is told; machines hear settings of other versions too (fleet-settings.ts). */
const toldAnswerSchema = heartbeatAnswerSchema.extend({
  settings: z
    .object({
      version: z.int().min(0),
      ...{ fleet: settingsSchema, cluster: settingsSchema },
      labels: z.array(z.object({ selector: selectorSchema, settings: settingsSchema })),
    })
    .nullable(),
});

const heartbeatRoute = createRoute({
  method: "post",
  path: "/api/v1/heartbeat",
  tags: ["machines"],
  summary: "Renew a supernode's lease",
  request: { body: jsonBody(heartbeatSchema) },
  responses: jsonAnswer("What the fleet tells this supernode", toldAnswerSchema),
});

export function heartbeatResource(parts: ConfigParts): Resource {
  return (app) => {
    app.openapi(heartbeatRoute, async (context) => {
      const heartbeat = context.req.valid("json");
      const caller = context.get("caller");
      if (caller.kind !== "machine" || caller.credential.hostId !== heartbeat.hostId) {
        throw new DfError("denied", "take the heartbeat: the credential is another machine's");
      }
      const { hostId, cluster } = caller.credential;
      await noteChannels(heartbeat, parts);
      await renewLease(heartbeat, cluster, parts);
      const answer = answerFor(heartbeat, cluster, parts);
      for (const part of parts.heartbeatParts) {
        Object.assign(answer, await part.answer(heartbeat, { hostId, cluster }));
      }
      return context.json(answer, 200);
    });
  };
}

async function noteChannels(
  { hostId, hosts, isLeaving }: Heartbeat,
  { database }: ConfigParts,
): Promise<void> {
  if (isLeaving === true || hosts?.isAll === true) await forgetChannels(database, [hostId]);
  if (hosts !== undefined && isLeaving !== true) await saveChannels(database, hostId, hosts);
}

/** A supernode that comes or goes is in every list here, or in none, when it is answered. */
async function renewLease(
  heartbeat: Heartbeat,
  cluster: string,
  { leases, view }: ConfigParts,
): Promise<void> {
  const nowMs = Date.now();
  const { hostId, version, addresses, labels, load, disk, contents, settingsVersion } = heartbeat;
  const isTls = heartbeat.isTls ?? false;
  const isLeaving = heartbeat.isLeaving === true;
  const row: SupernodeRow = {
    ...{ hostId, cluster, version, addresses, isTls, labels },
    // A row that a restored backup does not have; else the join's stays.
    ...{ hostname: "", joinedAt: nowMs },
    state: isLeaving ? "left" : "alive",
    ...{ leaseExpiresAt: leases.leaseEnd(nowMs), heartbeatAt: nowMs },
    report: { load, disk, contents, settingsVersion },
  };
  const known = view.aliveIn(cluster).find((supernode) => supernode.hostId === hostId);
  const isSame =
    known !== undefined &&
    Bun.deepEquals(known.addresses, addresses) &&
    known.isTls === isTls &&
    Bun.deepEquals(known.labels, labels);
  await leases.heard(row, isLeaving || !isSame);
}

function answerFor(
  { hostId, addresses, isTls }: Heartbeat,
  cluster: string,
  { view, leaseSeconds, intervalSeconds }: ConfigParts,
): HeartbeatAnswer {
  const others = membersOf(view.aliveIn(cluster)).filter((member) => member.hostId !== hostId);
  const upstream = view.upstreamOf(cluster);
  return {
    ...{ leaseSeconds, intervalSeconds, cluster },
    members: [...others, memberOf({ hostId, addresses, isTls })]
      .toSorted((a, b) => (a.hostId < b.hostId ? -1 : 1))
      .slice(0, MEMBERS_MAX),
    upstream:
      upstream === null ? null : { cluster: upstream, members: membersOf(view.aliveIn(upstream)) },
    routesVersion: view.version,
    settings: null,
    commands: [],
    revoked: view.revoked.slice(-REVOKED_MAX),
  };
}

function membersOf(rows: readonly SupernodeRow[]): HeartbeatAnswer["members"] {
  return rows.map(memberOf);
}

/** Said only where it is so: machines take silence for plain HTTP. */
function memberOf({
  hostId,
  addresses,
  isTls,
}: Pick<Heartbeat, "hostId" | "addresses" | "isTls">): HeartbeatAnswer["members"][number] {
  return { hostId, addresses, ...(isTls === true ? { isTls } : {}) };
}
