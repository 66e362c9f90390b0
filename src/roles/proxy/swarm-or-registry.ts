// Who answers what an engine asks of a registry: the swarm, or the registry itself where the swarm cannot or
// hears nothing from it. Of a registry that was silent a moment ago both are asked, so that nobody waits:
//
//   else   ─▶ swarm ─┬─▶ its answer
//                    └─ cannot, silence ─▶ registry
//   silent ─▶ swarm ────────────────────┬─▶ the first good answer; else the last word that the swarm has,
//             registry, a little later ─┘   what the registry said of its trouble, why it said nothing

import { setTimeout as sleep } from "node:timers/promises";
import { DfError, isDfError } from "../../errors.ts";
import { FIRST_BYTE_TIMEOUT_MS } from "../../limits.ts";
import type { BroughtContent } from "./brought-content.ts";
import type { PassedAnswer, PassThrough } from "./pass-through.ts";
import { askedUrlOf, type RegistryRequest } from "./registry-request.ts";
import { SilentRegistries } from "./silent-registries.ts";
import type { SwarmPull } from "./swarm-pull.ts";

/**
 * What is whole on this host or at a supernode comes sooner, so the registry is not asked for it. A pull waits
 * so long for each layer that the swarm lacks.
 */
const HEAD_START_MS = 300;

export type RegistryAnswer =
  | { readonly by: "swarm"; readonly content: BroughtContent }
  | { readonly by: "registry"; readonly answer: PassedAnswer };

export interface SwarmOrRegistryOptions {
  pull: Pick<SwarmPull, "bring">;
  passing: Pick<PassThrough, "ask">;
  /** The swarm heard nothing from the registry. */
  onSilence: (request: RegistryRequest, error: DfError) => void;
}

/** What came of asking one of the two. */
interface Outcome {
  readonly by: RegistryAnswer["by"];
  /** 3 settles it, 2 is old, 1 is trouble, 0 is nothing. */
  readonly rank: 0 | 1 | 2 | 3;
  readonly answer: RegistryAnswer | null;
  /** Why there is no answer; null: the swarm cannot have it. */
  readonly error: unknown;
}

export class SwarmOrRegistry {
  readonly #options: SwarmOrRegistryOptions;
  readonly #silent = new SilentRegistries();

  constructor(options: SwarmOrRegistryOptions) {
    this.#options = options;
  }

  /** @throws {DfError} as SwarmPull.bring and PassThrough.ask; the signal's reason */
  async answerTo(request: RegistryRequest): Promise<RegistryAnswer> {
    const { origin } = request.upstream;
    if (!this.#silent.mayWait(origin)) return this.#askBoth(request);
    const { signal } = request.asked;
    const swarm = await this.#askSwarm(request, signal);
    // Who left did not find out.
    if (swarm.rank === 3 && !signal.aborted) this.#silent.forget(origin);
    if (swarm.rank > 0) return taken(swarm);
    return taken(await this.#askRegistry(request, signal, swarm.error !== null));
  }

  async #askBoth(request: RegistryRequest): Promise<RegistryAnswer> {
    const { signal } = request.asked;
    const givenUp = { swarm: new AbortController(), registry: new AbortController() };
    const signalOf = (by: RegistryAnswer["by"]): AbortSignal =>
      AbortSignal.any([signal, givenUp[by].signal]);
    const swarm = this.#askSwarm(request, signalOf("swarm"));
    // What a tag means the swarm does not know without the registry.
    const headStartMs = request.resource.kind === "tag" ? 0 : HEAD_START_MS;
    const early = await Promise.race([swarm, sleep(headStartMs, null, { signal })]);
    if (early?.rank === 3) return taken(early);
    const registry = this.#askRegistry(request, signalOf("registry"), true);
    const first = await Promise.race([swarm, registry]);
    const best = first.rank === 3 ? first : better(await registry, await swarm);
    if (best.by === "registry") givenUp.swarm.abort(otherAnswered("swarm"));
    else {
      givenUp.registry.abort(otherAnswered("registry"));
      void registry.then(({ answer }) => answer?.by === "registry" && answer.answer.close());
    }
    return taken(best);
  }

  async #askSwarm(request: RegistryRequest, signal: AbortSignal): Promise<Outcome> {
    const { upstream, resource } = request;
    const by = "swarm";
    try {
      const content = await this.#options.pull.bring(request, signal);
      if (content === null) return { by, rank: 0, answer: null, error: null };
      const isCurrent = content.stale === null;
      if (isCurrent && resource.kind === "tag") this.#silent.forget(upstream.origin);
      return { by, rank: isCurrent ? 3 : 2, answer: { by, content }, error: null };
    } catch (error) {
      if (!isSilence(error)) return { by, rank: 3, answer: null, error };
      this.#silent.add(upstream.origin);
      this.#options.onSilence(request, error);
      return { by, rank: 0, answer: null, error };
    }
  }

  /** @param isSoon it may be down, and an engine that hears so asks elsewhere */
  async #askRegistry(
    request: RegistryRequest,
    signal: AbortSignal,
    isSoon: boolean,
  ): Promise<Outcome> {
    const by = "registry";
    const asked = { ...request.asked, signal };
    const firstByteMs = isSoon ? FIRST_BYTE_TIMEOUT_MS : undefined;
    try {
      const answer = await this.#options.passing.ask(asked, askedUrlOf(request), firstByteMs);
      const isTrouble = answer.status >= 500 || answer.status === 429;
      return { by, rank: isTrouble ? 1 : 3, answer: { by, answer }, error: null };
    } catch (error) {
      return { by, rank: 0, answer: null, error };
    }
  }
}

/** @throws why there is none */
function taken({ answer, error }: Outcome): RegistryAnswer {
  if (answer === null) throw error;
  return answer;
}

function better(registry: Outcome, swarm: Outcome): Outcome {
  return swarm.rank > registry.rank ? swarm : registry;
}

/** Whether nothing came back: what a registry refuses, or says of its own trouble, is an answer. */
function isSilence(error: unknown): error is DfError {
  const isUnanswered = isDfError(error, "network") || isDfError(error, "timeout");
  return isUnanswered && error.refusal === undefined;
}

function otherAnswered(by: RegistryAnswer["by"]): DfError {
  return new DfError("interrupted", `ask the ${by}: the other one answered`);
}
