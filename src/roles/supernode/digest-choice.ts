// Which content those get who ask a registry for a digest without credentials. The digest names the bytes,
// so what one registry refuses, lies about or is slow with concerns those alone who asked there:
//
//   whole here, of whatever task ─▶ given, and no registry asked
//   else: has the URL that was asked for it? (HEAD, one for all who ask it) ── no ─▶ refused, for that URL
//         └─ yes ─▶ on its way from this origin ─▶ joined
//                   else read, by one who asks for all; what his URL refuses, the next one's may give

import { isDfError } from "../../errors.ts";
import type { ProvenVersion } from "../../net/source/source-proof.ts";
import { isSourceDown, otherDigest } from "../../net/source/source-fault.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { KnownTask } from "./known-task.ts";
import { isOfTheSource, Refusals } from "./refusals.ts";
import type { Seeding } from "./seeding.ts";
import type { AskedTask } from "./task-admission.ts";
import type { VersionChoiceOptions } from "./version-choice.ts";

export interface DigestChoiceOptions extends Pick<
  VersionChoiceOptions,
  "suppliers" | "signal" | "taskOf" | "forget" | "adopt" | "read"
> {
  /** The version that joins get, if the swarm knows one. */
  current: (taskId: string) => Seeding | null;
  /** What is whole here of the digest, of whatever task; null: nothing. */
  sameBytes: (request: TaskRequest) => Promise<Seeding | null>;
  /** Asks the source whether it has what the URL names. @throws {DfError} as SourceProofs.prove */
  prove: (request: TaskRequest) => Promise<ProvenVersion>;
}

export class DigestChoice {
  readonly #options: DigestChoiceOptions;
  /** By URL. */
  readonly #refusals = new Refusals();

  constructor(options: DigestChoiceOptions) {
    this.#options = options;
  }

  /** @throws {DfError} what the source says to this URL; checksum; as readSource */
  async resolve(asked: AskedTask, hops: readonly string[]): Promise<Seeding> {
    const { request } = asked;
    const whole = await this.#options.sameBytes(request);
    if (whole !== null) return whole;
    const proven = await this.#prove(asked);
    if ("stored" in proven) return proven;
    for (;;) {
      const task = this.#options.taskOf(asked);
      const current = task.current ?? (await this.#options.adopt(task));
      if (current !== null) return asLong(current, proven, request);
      const other = task.resolving;
      if (other === null) {
        const read = this.#read(task, { asked, hops, proven });
        return (task.resolving = this.#resolving(task, read));
      }
      const seeding = await unlessRefused(other);
      if (seeding !== null) return asLong(seeding, proven, request);
      this.#throwRefusal(request);
    }
  }

  /** The source did not give it to who was let in. */
  refused({ url }: TaskRequest, error: unknown): void {
    this.#refusals.note(url, error);
  }

  /** Returns what the source names; or what is on its way from there, while it cannot be asked. */
  async #prove({ taskId, request }: AskedTask): Promise<ProvenVersion | Seeding> {
    try {
      this.#throwRefusal(request);
      return await this.#options.prove(request);
    } catch (error) {
      const current = this.#options.current(taskId);
      if (current !== null && isSourceDown(error)) return current;
      this.#refusals.note(request.url, error);
      throw error;
    }
  }

  #throwRefusal({ url }: TaskRequest): void {
    const refusal = this.#refusals.of(url);
    if (refusal !== undefined) throw refusal.error;
  }

  #resolving(task: KnownTask, version: Promise<Seeding>): Promise<Seeding> {
    return version.finally(() => {
      task.resolving = null;
      if (task.current === null) this.#options.forget(task);
    });
  }

  async #read(
    task: KnownTask,
    { asked, hops, proven }: { asked: AskedTask; hops: readonly string[]; proven: ProvenVersion },
  ): Promise<Seeding> {
    const { taskId, request } = asked;
    const { suppliers, read, signal } = this.#options;
    try {
      const supplier = await suppliers.supplierOf({
        ...{ taskId, request, hops, current: null },
        confirms: async (validator) => (validator === proven.validator ? proven.answer : null),
      });
      return await read(task, request, supplier);
    } catch (error) {
      if (!signal.aborted) this.#refusals.note(request.url, error);
      throw error;
    }
  }
}

/** Null: the source refused another one's URL, or gave nothing of use there. */
async function unlessRefused(other: Promise<Seeding>): Promise<Seeding | null> {
  try {
    return await other;
  } catch (error) {
    if (isDfError(error) && isOfTheSource(error)) return null;
    throw error;
  }
}

/** @throws {DfError} checksum */
function asLong(seeding: Seeding, { length }: ProvenVersion, { url }: TaskRequest): Seeding {
  const own = seeding.stored.manifest.layout.length;
  if (own === null || length === null || own === length) return seeding;
  throw otherDigest(url).error;
}
