// What a peer is told of a content when it is taken into its swarm.

import { sentAnswer } from "../../net/wire/kept-answer.ts";
import type { Joined } from "../../net/wire/swarm-messages.ts";
import type { Member, Seeding } from "./seeding.ts";
import type { TicketOffice } from "./ticket-office.ts";

/** @param tickets null: no private content is shared here */
export function joinAnswer(
  request: number,
  member: Member,
  tickets: Pick<TicketOffice, "admit"> | null,
): Joined {
  const { seeding, handle } = member;
  const { facts, key } = seeding.stored;
  const { state } = seeding;
  const isComplete = state.kind === "complete";
  return {
    type: "joined",
    request,
    handle,
    contentId: facts.contentId,
    taskId: facts.taskId,
    length: facts.layout.length,
    pieceLength: facts.layout.pieceLength,
    validator: facts.validator,
    lastModified: facts.lastModified,
    answer: sentAnswer(facts.answer, Date.now()),
    ...staleNotice(seeding),
    md5: isComplete ? state.digests.md5 : null,
    sha256: isComplete ? state.digests.sha256 : null,
    signature: isComplete ? seeding.wholeSignature : undefined,
    swarmSize: seeding.childCount + 1,
    ...(facts.isPrivate === true ? admission(member, tickets) : {}),
    ...(key === null ? {} : { key: key.reveal().toBase64() }),
    // What is sealed rests sealed everywhere, however small it is.
    ...(isComplete && state.inline !== null && key === null ? { inline: state.inline } : {}),
  };
}

/** What opens a private content to a peer that was proven at its source. */
function admission(member: Member, tickets: Pick<TicketOffice, "admit"> | null): Partial<Joined> {
  if (tickets === null) return { isPrivate: true };
  const { peer, seeding, handle } = member;
  const ticket = tickets.admit({
    contentId: seeding.stored.facts.contentId,
    hostId: peer.channel.hello.hostId,
    hasAskedSince: (ms) => seeding.child(peer) === member && member.pulledAtMs >= ms,
    give: (fresh) => peer.channel.send({ type: "ticket", handle, ticket: fresh }),
  });
  return { isPrivate: true, ticket };
}

function staleNotice({ freshness: { outage } }: Seeding): { stale?: string } {
  return outage === null ? {} : { stale: outage.error.message };
}
