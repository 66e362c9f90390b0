// How a host asks to take part in a task.

import { DfError } from "../../errors.ts";
import type { PeerMessage } from "../wire/swarm-messages.ts";
import type { TaskRequest } from "../wire/task.ts";

/** A content that is here, in part or whole, as messages name it. */
export interface KnownContent {
  contentId: string;
  /** Said with what is offered, so that a supernode which lost it finds it again. */
  taskId?: string | undefined;
  /** Base64 of PieceSet.toBytes. */
  have: string;
}

export interface JoinOptions {
  /** What is here already of a version of the task. */
  known?: KnownContent | undefined;
  /** Takes pieces from supernodes alone. @defaultValue false */
  seedsOnly?: boolean;
  /** Asks a member that does not own the task to serve it nevertheless. @defaultValue false */
  isDelegated?: boolean;
  /** Wants what the supernode has or brings already. @defaultValue false */
  onlyHeld?: boolean;
  /** Asks which content would be told, and takes no part. @defaultValue false */
  isQuestion?: boolean;
  /** Host IDs of the supernodes through which this join comes. @defaultValue none */
  hops?: readonly string[];
}

/** @param request repeated in the answer */
export function joinMessage(
  request: number,
  task: TaskRequest,
  { known, seedsOnly, isDelegated, onlyHeld, isQuestion, hops = [] }: JoinOptions,
): Extract<PeerMessage, { type: "join" }> {
  return {
    ...{ type: "join", request, task },
    ...(known === undefined ? {} : { known }),
    ...(seedsOnly === true ? { from: "supernode" } : {}),
    ...(isDelegated === true ? { isDelegated } : {}),
    ...(onlyHeld === true ? { onlyHeld } : {}),
    ...(isQuestion === true ? { isQuestion } : {}),
    ...(hops.length > 0 ? { hops: [...hops] } : {}),
  };
}

/** Why credentials are not sent to a supernode. @param address "host:port" */
export function notConfidential(address: string): DfError {
  return new DfError("not-shareable", `join a private task at ${address}: others could listen`, {
    hint: "supernodes of a fleet speak TLS",
  });
}
