// What machines are told to bring for jobs that are under way here: headers are opened once, and a private
// image's tasks carry what its registry lets in now. A password stays here where the registry gives tokens
// for it: machines see a token, which reads one repository for some minutes.

import { z } from "zod";
import { Secret } from "../../../engine/bytes/secret.ts";
import { DfError } from "../../../errors.ts";
import type { RegistryLogin } from "../../../net/registry/registry-login.ts";
import type { TaskRequest } from "../../../net/wire/task.ts";
import type { PreheatJobRow } from "../../../store/fleet-database/preheats.ts";
import type { FleetKeys } from "../fleet-keys.ts";
import { type KeptRequest, requestOf } from "./kept-request.ts";
import { type Registries, taskOfPart } from "./registries.ts";

interface OpenedJob {
  readonly tasks: readonly TaskRequest[];
  /** Of a private image. */
  readonly login: RegistryLogin | null;
  /** Why its user was not let in, to be told once; null: nothing is known against it. */
  failure: unknown;
  isLoggingIn: boolean;
}

export interface OpenedJobsOptions {
  keys: FleetKeys;
  registries: Registries;
  /** Whether nobody else can listen to what machines are told. */
  isConfidential: boolean;
}

export class OpenedJobs {
  readonly #options: OpenedJobsOptions;
  readonly #opened = new Map<string, Promise<OpenedJob>>();

  constructor(options: OpenedJobsOptions) {
    this.#options = options;
  }

  /**
   * What one URL of a job is as a task; null: its registry is being asked what to show, ask again in a moment.
   * @throws {DfError} why its user is not let in
   */
  async taskOf(job: PreheatJobRow, index: number): Promise<TaskRequest | null> {
    const opened = await this.#open(job);
    const { tasks, login } = opened;
    const task = tasks[index]!;
    if (login === null) return task;
    this.requireConfidence();
    const { failure } = opened;
    opened.failure = null;
    if (failure !== null) throw failure;
    const authorization = login.current?.reveal();
    if (authorization !== undefined)
      return { ...task, credentials: { url: task.url, headers: { authorization } } };
    // Heartbeats do not wait for registries.
    this.#logIn(opened, login);
    return null;
  }

  /** @throws {DfError} not-shareable */
  requireConfidence(): void {
    if (this.#options.isConfidential) return;
    throw new DfError(
      "not-shareable",
      "preheat a private image: machines hear this df config in plain text",
      {
        hint: "leave --tls off away, or put a proxy that speaks TLS in front of df config",
      },
    );
  }

  /** What is shown for it is another thing now. */
  forget(jobId: string): void {
    this.#opened.delete(jobId);
  }

  /** Forgets jobs that are not among these. */
  keepOnly(jobIds: ReadonlySet<string>): void {
    for (const id of this.#opened.keys()) if (!jobIds.has(id)) this.#opened.delete(id);
  }

  #open(job: PreheatJobRow): Promise<OpenedJob> {
    const known = this.#opened.get(job.id);
    if (known !== undefined) return known;
    const opening = this.#openNow(job);
    this.#opened.set(job.id, opening);
    opening.catch(() => this.#opened.delete(job.id));
    return opening;
  }

  async #openNow(job: PreheatJobRow): Promise<OpenedJob> {
    const { keys, registries } = this.#options;
    const request = requestOf(job);
    const text = job.sealedHeaders === null ? "{}" : await keys.unseal(job.sealedHeaders);
    const headers = z.record(z.string(), z.string()).parse(JSON.parse(text));
    const { authorization } = headers;
    const isPrivate = request.image?.isPrivate === true && authorization !== undefined;
    return {
      tasks: request.image === null ? tasksOf(request, headers) : request.urls.map(taskOfPart),
      login: isPrivate ? registries.loginAt(request.urls[0]!, new Secret(authorization)) : null,
      failure: null,
      isLoggingIn: false,
    };
  }

  #logIn(opened: OpenedJob, login: RegistryLogin): void {
    if (opened.isLoggingIn) return;
    opened.isLoggingIn = true;
    this.#options.registries
      .logIn(login)
      .catch((error: unknown) => (opened.failure = error))
      .finally(() => (opened.isLoggingIn = false));
  }
}

function tasksOf(
  { urls, tag, filterQuery, isSealed }: KeptRequest,
  headers: Record<string, string>,
): TaskRequest[] {
  const sealed = isSealed === true ? { isSealed } : {};
  return urls.map((url) => ({ url, headers, tag, filterQuery, checksum: "", ...sealed }));
}
