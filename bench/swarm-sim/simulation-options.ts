// What a simulated swarm is made of, what may go wrong in it, and what comes out.

export interface SimulationOptions {
  contentLength: number;
  pieceLength: number;
  /** Bytes per second of each peer, both ways. */
  peerRates: number[];
  /** Bytes per second of each seed, both ways. */
  seedRates: number[];
  peerSlots: number;
  seedSlots: number;
  /** Fetches one download has under way at once. */
  downloadSlots: number;
  /** Owner's time per assignment and per message (in or out), microseconds. */
  controlUs: number;
  messageUs: number;
  rttUs: number;
  /** A parent's time from request to first byte. */
  requestUs: number;
  /** Bytes on the wire per payload byte, and bytes of headers per request. */
  wireFactor: number;
  requestBytes: number;
  /** Peers join spread over this time. */
  joinSpreadUs: number;
  seed: number;
  /** Bytes per second of the source, for peers that must read it themselves. @defaultValue none may */
  sourceRate?: number;
  /** Peers that begin to read the source per second, without a supernode. */
  sourceReadersPerSec?: number;
  faults?: Fault[];
  /** Receives the trace of the owner's scheduler, one line a step. */
  traceSink?: (line: string) => void;
  /** Gives up after this much virtual time. */
  limitUs: number;
}

export type Fault =
  /** The peer vanishes for good. */
  | { atUs: number; kind: "peerDies"; host: number }
  /** From now on the host's uploads fail verification. */
  | { atUs: number; kind: "turnsCorrupt"; host: number }
  /** From now on the host answers some requests with 503. */
  | { atUs: number; kind: "turnsBusy"; host: number }
  /** From now on the host's uploads never end. */
  | { atUs: number; kind: "stalls"; host: number }
  /** The owner forgets everything; peers come back with their bitmaps after `downUs`. */
  | { atUs: number; kind: "ownerRestarts"; downUs: number }
  /** Owner and seeds vanish for good. */
  | { atUs: number; kind: "supernodesDie" };

export interface SimulationResult {
  /** Seconds from the first join to the end, by peer; NaN for one that died. */
  finishSeconds: number[];
  assignments: number;
  messages: number;
  busyAnswers: number;
  duplicateBytes: number;
  sourceCopies: number;
  ownerBusySeconds: number;
  events: number;
  traceDigest: string;
  quarantined: number[];
  /** Payload bytes by kind of parent. */
  bytesFromSeeds: number;
  bytesFromPeers: number;
  /** Of peers that read the source themselves: payload bytes, and reads open at once at most. */
  bytesFromSource: number;
  sourceReadsAtOnce: number;
}
