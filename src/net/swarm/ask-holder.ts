// Asks one supernode what it has of a task: a direct question that does not wait in a channel.

import { bearerOf } from "../fleet/credential.ts";
import { tlsOptionsOf } from "../tls/server-proof.ts";
import { httpUrlOf, type SupernodeEndpoint } from "../tls/supernode-endpoint.ts";
import { holdingSchema, holdsPath, type Holding } from "../wire/holds-api.ts";

/** One round trip within a cluster takes a millisecond; a source that waits for it must not wait long. */
const ANSWER_TIMEOUT_MS = 500;

/**
 * Null when it has nothing, or does not say so in time.
 * @param credential of this supernode, where it has a fleet
 */
export async function askHolder(
  endpoint: SupernodeEndpoint,
  { taskId, credential }: { taskId: string; credential: string | undefined },
  signal: AbortSignal,
): Promise<Holding | null> {
  try {
    const answer = await fetch(httpUrlOf(endpoint, holdsPath(taskId)), {
      ...tlsOptionsOf(endpoint.proof),
      ...bearerOf(credential),
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
      redirect: "manual",
      proxy: false,
    });
    if (answer.status !== 200) {
      await answer.body?.cancel();
      return null;
    }
    const parsed = holdingSchema.safeParse(await answer.json());
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
