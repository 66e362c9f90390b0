// What this host and its supernode say of a task's freshness, for `df status --why`.

import { taskIdOf } from "../../engine/bytes/task-id.ts";
import { DfError, type WireError } from "../../errors.ts";
import { bearerOf } from "../../net/fleet/credential.ts";
import { tlsOptionsOf } from "../../net/tls/server-proof.ts";
import { httpUrlOf, type SupernodeEndpoint } from "../../net/tls/supernode-endpoint.ts";
import { taskFieldsOf } from "../../net/task-request.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import {
  taskFreshnessSchema,
  type FreshnessOnHost,
  type TaskFreshness,
} from "../../net/wire/task-freshness.ts";
import { NO_VERSION, wordsOf } from "../freshness/freshness-words.ts";
import { underSourceRules } from "../settings/source-rules.ts";
import { keptVersion, type KeptVersionPlace } from "./kept-version.ts";
import type { Supernodes } from "./supernodes.ts";

/** A supernode answers from memory. */
const TIMEOUT_MS = 2_000;

/** @throws {DfError} denied; what the supernode answered */
export async function freshnessOnHost(
  around: KeptVersionPlace & { supernodes: Supernodes; credential: string | undefined },
  asked: TaskRequest,
): Promise<FreshnessOnHost> {
  const task = underSourceRules(asked, around.settings.current);
  if (task.credentials !== undefined) {
    throw new DfError(
      "not-shareable",
      "tell how fresh a private task is: its source is always asked",
    );
  }
  const taskId = taskIdOf(taskFieldsOf(task, "public"));
  const kept = keptVersion(around, taskId, task);
  const words =
    kept === null ? NO_VERSION : wordsOf(kept.content.facts, kept.freshness, Date.now());
  const here = { taskId, contentId: kept?.content.facts.contentId ?? null, ...words };
  const owner = await around.supernodes.ownerOf(taskId);
  if (owner === undefined) return { here, supernode: null };
  const { endpoint } = owner;
  return {
    here,
    supernode: { address: endpoint.address, ...(await ask(endpoint, asked, around.credential)) },
  };
}

/** @param credential of this host, where it has a fleet */
async function ask(
  endpoint: SupernodeEndpoint,
  task: TaskRequest,
  credential: string | undefined,
): Promise<TaskFreshness> {
  const { address, proof } = endpoint;
  const answer = await fetch(httpUrlOf(endpoint, "/v1/freshness"), {
    ...tlsOptionsOf(proof),
    method: "POST",
    body: JSON.stringify(task),
    headers: { "content-type": "application/json", ...bearerOf(credential).headers },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    proxy: false,
    redirect: "error",
  }).catch((cause: unknown) => {
    throw new DfError("unavailable", `ask supernode ${address} about a task`, { cause });
  });
  const json = (await answer.json().catch(() => null)) as { error?: WireError } | null;
  if (json?.error !== undefined) throw DfError.fromWire(json.error);
  const parsed = taskFreshnessSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new DfError("protocol", `ask supernode ${address} about a task: it does not know how`, {
    hint: "it may run an older version of df",
  });
}
