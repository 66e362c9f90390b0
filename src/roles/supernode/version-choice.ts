// Which version of a task those who ask get: of a public one the version that is fresh or that its
// source confirms, one question for all; of a private one the version that the source named to each.

import { isDfError } from "../../errors.ts";
import { VALIDATED_FRESH_MS } from "../../limits.ts";
import type { EgressGuard } from "../../net/egress/egress-guard.ts";
import { isSourceDown, sourceChanged } from "../../net/source/source-fault.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import { isFor, isNamed, type KnownTask } from "./known-task.ts";
import type { Refusals } from "./refusals.ts";
import type { Seeding } from "./seeding.ts";
import type { Supplier, Suppliers, WantedContent } from "./suppliers.ts";
import type { AskedTask, ProvenRequester } from "./task-admission.ts";
import { isConfirmed, isStill } from "./version-probe.ts";

/** A source that changes more often than this while it is asked is given up. */
const VERSIONS_MAX = 3;

export interface VersionChoiceOptions {
  suppliers: Suppliers;
  refusals: Refusals;
  egress: EgressGuard;
  /** The supernode stops. */
  signal: AbortSignal;
  taskOf: (asked: AskedTask) => KnownTask;
  /** Nothing of the task is known any more. */
  forget: (task: KnownTask) => void;
  /** Takes over what an earlier process left; null: nothing whole. */
  adopt: (task: KnownTask) => Promise<Seeding | null>;
  /** Brings the content; resolves when it is open. */
  read: (task: KnownTask, request: TaskRequest, supplier: Supplier | null) => Promise<Seeding>;
  retire: (task: KnownTask, seeding: Seeding) => void;
  warned: (message: string) => void;
}

type Asking = Pick<WantedContent, "request" | "hops">;

export class VersionChoice {
  readonly #options: VersionChoiceOptions;

  constructor(options: VersionChoiceOptions) {
    this.#options = options;
  }

  /** @throws {DfError} as readSource */
  async resolve(asked: AskedTask, hops: readonly string[]): Promise<Seeding> {
    const { request, requester } = asked;
    if (requester !== null) return this.#versionFor(requester, asked, hops);
    const task = this.#options.taskOf(asked);
    return (task.resolving ??= this.#resolving(
      task,
      this.#currentVersion(task, { request, hops }),
    ));
  }

  #resolving(task: KnownTask, version: Promise<Seeding>): Promise<Seeding> {
    return version.finally(() => {
      task.resolving = null;
      if (task.current === null) this.#options.forget(task);
    });
  }

  /**
   * The version that the source named to one who was proven, else what it gives him now: never one that
   * it named to others alone, and no failure of theirs.
   */
  async #versionFor(
    asking: ProvenRequester,
    asked: AskedTask,
    hops: readonly string[],
  ): Promise<Seeding> {
    let requester = asking;
    for (let tries = 0; tries < VERSIONS_MAX; tries++) {
      const task = this.#options.taskOf(asked);
      const current = task.current ?? (await this.#options.adopt(task));
      if (current !== null) {
        if (isFor(current, requester.version)) return current;
        // A word from a minute ago is enough for his right, but not for which version is current.
        requester = await requester.again(VALIDATED_FRESH_MS);
        if (isNamed(current, requester.version))
          current.freshness.confirm(requester.version.answer);
        if (isFor(current, requester.version)) return current;
      }
      const other = task.resolving;
      // The source answers to his own credentials: what it gives is his.
      if (other === null) {
        const read = this.#readFor(requester, task, { request: asked.request, hops });
        return (task.resolving = this.#resolving(task, read));
      }
      await other.catch(() => {});
    }
    throw sourceChanged(asked.request.url);
  }

  async #readFor(
    { version }: ProvenRequester,
    task: KnownTask,
    { request, hops }: Asking,
  ): Promise<Seeding> {
    const { taskId, current } = task;
    const wanted: WantedContent = {
      ...{ taskId, request, hops, current },
      // The source named it to him a moment ago.
      confirms: async (validator) => (validator === version.validator ? version.answer : null),
    };
    return this.#options.read(task, request, await this.#options.suppliers.supplierOf(wanted));
  }

  async #currentVersion(task: KnownTask, { request, hops }: Asking): Promise<Seeding> {
    const { taskId } = task;
    const { refusals, egress, signal } = this.#options;
    const current = task.current ?? (await this.#options.adopt(task));
    if (current !== null) current.freshness.expect(request);
    if (current?.isFresh === true) return current;
    const refusal = refusals.of(taskId);
    if (refusal !== undefined) throw refusal.error;
    try {
      const supplier = await this.#options.suppliers.supplierOf({
        ...{ taskId, request, hops, current },
        confirms: (validator) => isStill(validator, request, egress, signal),
      });
      const asksItself = supplier === null && current !== null;
      if (asksItself && (await isConfirmed(current, request, egress, signal))) return current;
      return await this.#options.read(task, request, supplier);
    } catch (error) {
      if (signal.aborted) throw error;
      return this.#afterFailure(task, error);
    }
  }

  /** The source could not be read: its last version if that may be given, or else the failure. */
  #afterFailure(task: KnownTask, error: unknown): Seeding {
    const { current } = task;
    if (current?.state.kind === "complete" && current.freshness.outlives(error)) {
      current.freshness.hold(error);
      this.#options.warned(`${error.message}: its last version is given meanwhile`);
      return current;
    }
    this.#options.refusals.note(task.taskId, error);
    const isRefused = isDfError(error) && error.refusal !== undefined && !isSourceDown(error);
    if (current !== null && isRefused) this.#options.retire(task, current);
    throw error;
  }
}
