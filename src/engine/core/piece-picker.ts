// Which piece a child takes from a parent that it was matched with: from a seed what no peer has yet,
// else a random useful one within the child's window. The bitmaps are searched in piece-choice.ts.

import { windowEnd } from "./download-window.ts";
import { HOST_SEED } from "./host-columns.ts";
import { choosePiece, firstCommonPiece, lowestPiece, type PieceQuestion } from "./piece-choice.ts";
import type { Prng } from "./prng.ts";
import type { SwarmState } from "./swarm-state.ts";
import type { Swarm } from "./swarm.ts";

/** Pieces compared for rarity: light among peers, stronger when a seed repeats a piece. */
const PEER_PIECE_SAMPLES = 2;
const SEED_PIECE_SAMPLES = 8;

export class PiecePicker {
  readonly #state: SwarmState;
  readonly #prng: Prng;

  /** One object for all questions: there are several for each assignment. */
  readonly #question: PieceQuestion = {
    words: new Uint32Array(0),
    haveRow: 0,
    takenRow: 0,
    from: 0,
    end: 0,
    availability: new Uint32Array(0),
    samples: 1,
  };

  constructor(state: SwarmState, prng: Prng) {
    this.#state = state;
    this.#prng = prng;
  }

  /** The piece that a child should take from any parent; −1: the parent has none for it. */
  from(swarm: Swarm, child: number, parent: number): number {
    const { members, hosts, arena } = this.#state;
    if (hosts.kind[members.host[parent]!] !== HOST_SEED) return this.fromPeer(swarm, child, parent);
    if (swarm.freshCount > 0 && swarm.wantingCount > 1) {
      const fresh = firstCommonPiece(
        arena.words,
        swarm.freshRow,
        members.haveRow[parent]!,
        swarm.wordCount,
      );
      if (fresh !== -1 && !this.#state.isTaken(child, fresh)) return fresh;
    }
    return this.#usefulPiece(swarm, child, parent, SEED_PIECE_SAMPLES);
  }

  /** The same for a parent that is no seed. */
  fromPeer(swarm: Swarm, child: number, parent: number): number {
    return this.#usefulPiece(swarm, child, parent, PEER_PIECE_SAMPLES);
  }

  #usefulPiece(swarm: Swarm, child: number, parent: number, samples: number): number {
    const { members, hosts, arena } = this.#state;
    const from = members.firstGap[child]!;
    // Chance makes children differ in what they have; one that is alone is rather served in order.
    const isAlone = swarm.wantingCount === 1;
    // No reader follows a seed that fills itself: what lies scattered is the more worth having.
    const isSeed = hosts.kind[members.host[child]!] === HOST_SEED;
    const end =
      isAlone || isSeed
        ? swarm.pieceCount
        : windowEnd({
            firstGap: from,
            pieceCount: swarm.pieceCount,
            pieceLength: swarm.pieceLength,
            rateBytesPerSec: hosts.downSpeed[members.host[child]!]! * members.slots[child]!,
          });
    const question = this.#question;
    question.words = arena.words;
    question.haveRow = members.haveRow[parent]!;
    question.takenRow = members.takenRow[child]!;
    question.from = from;
    question.end = end;
    question.availability = swarm.availability;
    question.samples = samples;
    return isAlone ? lowestPiece(question) : choosePiece(question, this.#prng);
  }
}
