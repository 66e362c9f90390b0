// Asks the swarm for a blob, a manifest or a tag: as everybody first, and only for what the registry refuses to
// everybody with what the engine showed. An engine shows a token for public images too: taken as a
// credential, it would make each of them private to its host.
//
//   public ─▶ here it is
//      │ 401, 403, 404                   nothing shown: the registry itself is asked, whose
//      └─▶ shown: private ─▶ here it is  challenge tells the engine what to show
//                    │ 401: a new one is wanted; the registry itself is asked

import { isDfError } from "../../errors.ts";
import type { LocalApi } from "../../net/local/local-server.ts";
import { splitRequest } from "../../net/task-request.ts";
import type { DownloadRequest } from "../../net/wire/local-api.ts";
import type { RegistryKind } from "../../net/wire/task.ts";
import { type BroughtContent, bringContent } from "./brought-content.ts";
import { PrivateRepositories } from "./private-repositories.ts";
import { shownBy } from "./shown-credentials.ts";
import { registryUrlOf, type RegistryRequest } from "./registry-request.ts";

/** A header field that tasks carry. */
const FIELD_BYTES_MAX = 8_192;

export class SwarmPull {
  readonly #local: LocalApi;
  readonly #private = new PrivateRepositories();

  constructor(local: LocalApi) {
    this.#local = local;
  }

  /**
   * Null: the registry itself is to be asked.
   * @param signal ends the reading of what was brought, too
   * @throws {DfError} what the registry said, or what is wrong with it; the signal's reason
   */
  async bring(request: RegistryRequest, signal: AbortSignal): Promise<BroughtContent | null> {
    const { asked, upstream, name } = request;
    const task = taskOf(request);
    const authorization = shownBy(asked.message);
    if (task === null) return null;
    const repository = `${upstream.origin}/${name}`;
    if (!this.#private.has(repository)) {
      try {
        return await bringContent(this.#local, publicOf(task), signal);
      } catch (error) {
        if (isBeyondSwarm(error)) return null;
        const isMissing = isDfError(error, "source-not-found");
        const isRefused =
          isDfError(error, "source-unauthorized") || isDfError(error, "source-forbidden");
        // Some registries deny that there is what they do not show.
        if (!isRefused && !(isMissing && authorization !== undefined)) throw error;
        if (isRefused) this.#private.add(repository);
      }
    }
    if (authorization === undefined) return null;
    try {
      const content = await bringContent(this.#local, privateOf(task, authorization), signal);
      this.#private.add(repository);
      return content;
    } catch (error) {
      if (isDfError(error, "source-unauthorized") || isBeyondSwarm(error)) return null;
      throw error;
    }
  }
}

interface RegistryTask {
  readonly url: string;
  readonly registryKind: RegistryKind;
  readonly checksum: string;
  /** Of a tag: chooses among the forms of what it names. */
  readonly accept: string | undefined;
}

/** Null: nothing that the swarm can name. */
function taskOf(request: RegistryRequest): RegistryTask | null {
  const { resource, asked } = request;
  const url = registryUrlOf(request);
  switch (resource.kind) {
    case "blob":
    case "manifest":
      return { url, registryKind: resource.kind, checksum: resource.digest, accept: undefined };
    case "tag": {
      const { accept } = asked.message.headers;
      if (accept !== undefined && accept.length > FIELD_BYTES_MAX) return null;
      return { url, registryKind: "tag", checksum: "", accept };
    }
    default:
      return null;
  }
}

function publicOf({ url, registryKind, checksum, accept }: RegistryTask): DownloadRequest {
  return { url, registryKind, checksum, headers: accept === undefined ? {} : { accept } };
}

function privateOf(task: RegistryTask, authorization: string): DownloadRequest {
  const { url, headers = {} } = publicOf(task);
  const split = splitRequest({ url, headers: { ...headers, authorization } }, ["accept"]);
  return { ...publicOf(task), ...split };
}

/** Whether the registry may give to this host alone what the swarm cannot bring. */
function isBeyondSwarm(error: unknown): boolean {
  const codes = ["not-shareable", "no-supernode", "no-space", "denied", "usage"] as const;
  return codes.some((code) => isDfError(error, code));
}
