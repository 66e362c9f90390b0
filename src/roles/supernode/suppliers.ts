// Where a supernode may take a content from instead of from its source, as the task registry sees
// it: other supernodes. Who they are and in which order is the cluster's affair.

import type { KeptAnswer } from "../../engine/core/freshness.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { ContentFacts, StoredContent } from "../../store/piece-store.ts";
import type { SourceReadEnd } from "../worker/source-worker-messages.ts";
import type { Seeding } from "./seeding.ts";

/** Receives a content that is being brought, from one place after another perhaps. */
export interface ContentSink {
  /** Aborted when the supernode stops. */
  readonly signal: AbortSignal;
  /** The version under way; null before `open`. */
  readonly content: StoredContent | null;
  /**
   * Makes a version known to the swarm and returns where its pieces rest; again for the same version.
   * @throws {DfError} source-changed for another version, interrupted when it is complete here
   */
  open(facts: ContentFacts): Promise<StoredContent>;
  /** The piece is committed. @param sourceBytes how many bytes of it this process took from the source */
  pieceStored(piece: number, sourceBytes: number): void;
}

/** Brings a whole content; `readSource` is there for what nobody else has, or no more. */
export type Supplier = (
  sink: ContentSink,
  readSource: () => Promise<SourceReadEnd>,
) => Promise<SourceReadEnd>;

export interface WantedContent {
  taskId: string;
  request: TaskRequest;
  /** Host IDs of the supernodes through which the request came. */
  hops: readonly string[];
  /** What is here and needs a word on whether it is still current; null: nothing whole. */
  current: Seeding | null;
  /** Asks the source whether it still has the version that a validator names; null: it has another one. */
  confirms: (validator: string) => Promise<KeptAnswer | null>;
}

export interface Suppliers {
  /** Null: this supernode asks the source itself. */
  supplierOf(wanted: WantedContent): Promise<Supplier | null>;
}
