// What a download hears on the channel to its supernode: one call for each message that is for it.

import type { ReceivedAssignment } from "../../engine/core/download-events.ts";
import type { DfError } from "../../errors.ts";
import type { NamedSupernode } from "../tls/supernode-endpoint.ts";
import type { NumberedRow, SignedGroup } from "../wire/swarm-frames.ts";
import type { Joined, SupernodeMessage } from "../wire/swarm-messages.ts";

/** What is known of a content whose source was read to its end. */
export type ClosedContent = Pick<
  Extract<SupernodeMessage, { type: "closed" }>,
  "length" | "md5" | "sha256" | "signature"
>;

/** One download's ear on the channel. Calls come in the order of the messages. */
export interface SwarmMember {
  joined(joined: Joined): void;
  /** Another supernode owns the task; `isDelegated`: it does not, but serves it for the owner. */
  moved(place: NamedSupernode, isDelegated: boolean): void;
  refused(error: DfError): void;
  rows(rows: readonly NumberedRow[]): void;
  /** The fleet's signatures over groups of rows that were told. */
  signed(groups: readonly SignedGroup[]): void;
  assigned(assignments: ReceivedAssignment[]): void;
  closed(whole: ClosedContent): void;
  /** A fresh ticket for the content, which is private. */
  ticket(ticket: string): void;
  failed(error: DfError): void;
  /** Whom to turn to when the supernode falls silent: piece addresses, of a swarm of so many hosts. */
  neighbours(addresses: readonly string[], swarmSize: number): void;
  /** Nothing comes until `channelOpened`; handles are void. */
  channelLost(): void;
  /** The channel is open, but nothing has come for OWNER_SILENCE_MS: until then as if it were lost. */
  channelSilent(): void;
  /** The channel is back, or speaks again: join again. */
  channelOpened(): void;
}
