// Images that registries told of: brought one after the other, behind the answer, because a registry that
// gets none in time sends the same again.

import { DfError, messageOf } from "../../../errors.ts";
import type { RegistryNotification } from "../../../net/wire/harbor-api.ts";
import type { ImagePreheatRequest } from "../../../net/wire/preheat-api.ts";
import { imageOfManifestUrl } from "../../../net/registry/image-reference.ts";
import type { PreheatAuthor, PreheatJobs } from "./preheat-jobs.ts";

/** A build that pushes more at once is told to come again. */
const WAITING_MAX = 1_000;

type Wish = Omit<ImagePreheatRequest, "image" | "authorization">;

interface PushedImage {
  request: ImagePreheatRequest;
  author: string;
}

export class PushedImages {
  readonly #jobs: Pick<PreheatJobs, "createForImage">;
  readonly #warn: (message: string) => void;
  /** By what is asked for: the same push told twice is brought once. */
  readonly #waiting = new Map<string, PushedImage>();
  #isRunning = false;
  #isStopped = false;

  constructor(jobs: Pick<PreheatJobs, "createForImage">, warn: (message: string) => void) {
    this.#jobs = jobs;
    this.#warn = warn;
  }

  /**
   * Takes what was pushed; returns how many images that are.
   * @throws {DfError} unavailable
   */
  take({ events }: RegistryNotification, wish: Wish, { author }: PreheatAuthor): number {
    const urls = new Set(events.flatMap((event) => pushedManifest(event) ?? []));
    if (this.#waiting.size + urls.size > WAITING_MAX) {
      throw new DfError(
        "unavailable",
        `preheat what was pushed: ${WAITING_MAX} images wait already`,
      );
    }
    for (const image of urls) {
      const request = { ...wish, image };
      this.#waiting.set(JSON.stringify(request), { request, author });
    }
    void this.#run();
    return urls.size;
  }

  stop(): void {
    this.#isStopped = true;
    this.#waiting.clear();
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (const [key, { request, author }] of this.#waiting) {
      this.#waiting.delete(key);
      await this.#jobs
        .createForImage(request, { author, idempotencyKey: null })
        .catch((error: unknown) => {
          if (!this.#isStopped) this.#warn(`preheat ${request.image}, pushed: ${messageOf(error)}`);
        });
    }
    this.#isRunning = false;
  }
}

/**
 * The URL of a manifest that came to its registry, without what else stood in it: it is told in warnings. Null:
 * something else happened.
 */
function pushedManifest({ action, target }: RegistryNotification["events"][number]): string | null {
  if (action !== "push" || target === null || target === undefined) return null;
  const isManifest = /manifest|image\.index/.test(target.mediatype);
  if (!isManifest || !URL.canParse(target.url)) return null;
  const { origin, pathname } = new URL(target.url);
  return imageOfManifestUrl(target.url) === null ? null : origin + pathname;
}
