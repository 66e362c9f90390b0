// Which content a join gets: the cluster says where it is served, the registry which version that is.

import { DfError } from "../../errors.ts";
import type { PeerRequest } from "../../net/swarm/swarm-server.ts";
import type { Cluster } from "./cluster/cluster.ts";
import type { ConnectedPeer } from "./connected-peer.ts";
import type { Seeding } from "./seeding.ts";
import type { AskedTask } from "./task-admission.ts";

/** Joins of one peer that wait for sources at once: each may open connections to wherever it says. */
const PENDING_JOINS_MAX = 256;

export type JoinRequest = Extract<PeerRequest, { type: "join" }>;

export interface JoinPlaces {
  cluster: () => Pick<Cluster, "placeOf">;
  resolve: (asked: AskedTask, hops: readonly string[]) => Promise<Seeding>;
  /** What is here of a task already; null: nothing. */
  held: (asked: AskedTask) => Promise<Seeding | null>;
}

/** The content of a join; null: the peer was sent to another supernode. @throws {DfError} as TaskRegistry.resolve */
export async function resolveJoin(
  { cluster, resolve, held }: JoinPlaces,
  join: { peer: ConnectedPeer; asked: AskedTask; message: JoinRequest },
): Promise<Seeding | null> {
  const { peer, asked, message } = join;
  const { request, isDelegated = false, onlyHeld = false } = message;
  const { hostId, role } = peer.channel.hello;
  const { taskId } = asked;
  const isSupernode = role === "supernode";
  // Only who passes joins on has something to say of their way.
  const hops = isSupernode ? (message.hops ?? []) : [];
  const wanted = { taskId, hostId, isSupernode, isDelegated, onlyHeld, hops };
  const place = await cluster().placeOf(wanted);
  switch (place.kind) {
    case "here":
      return resolve(asked, hops);
    case "held": {
      const seeding = await held(asked);
      if (seeding !== null) return seeding;
      throw new DfError("unavailable", "join: nothing of this task is here", { taskId });
    }
    case "moved":
      peer.channel.send({ ...place, type: "moved", request });
      return null;
  }
}

/** @throws {DfError} unavailable */
export function checkPending({ pendingJoins }: ConnectedPeer): void {
  if (pendingJoins <= PENDING_JOINS_MAX) return;
  const message = `join: ${PENDING_JOINS_MAX} joins of this peer already wait for their sources`;
  throw new DfError("unavailable", message, { hint: "try again in a moment" });
}

/** Why a peer on a plain channel is not given what is sealed. */
export function needsTls(): DfError {
  return new DfError("not-shareable", "join: the content is sealed, and this channel is not", {
    hint: "its key is told over TLS or on one machine alone",
  });
}

/** Why a download has to join again: a host has one part in a content, and another of its downloads took it. */
export function placeTaken(taskId: string): DfError {
  return new DfError("source-changed", "join: another download of this host took its place", {
    hint: "join again",
    taskId,
  });
}
