// What must be brought so that an image can be pulled: its manifests, from the index down, and the blobs
// that they name. The registry is asked as everybody first, and as its user only where it refuses that:
// what is public is public to all whoever asked for it.

import type { Secret } from "../../engine/bytes/secret.ts";
import { DfError, isDfError } from "../../errors.ts";
import { SOURCE_TIMEOUTS_MS } from "../../limits.ts";
import type { EgressGuard } from "../egress/egress-guard.ts";
import { RetryGate } from "../source/retry-gate.ts";
import { SourceClient } from "../source/source-client.ts";
import { faultOfStatus } from "../source/source-fault.ts";
import { wholeBody } from "../source/whole-body.ts";
import type { RegistryKind } from "../wire/task.ts";
import {
  type Descriptor,
  digestOfManifest,
  type IndexEntry,
  isBrought,
  type RawManifest,
  readManifest,
} from "./image-contents.ts";
import { imageFault } from "./image-fault.ts";
import {
  isChosen,
  noSuchPlatform,
  type PlatformChoice,
  platformOfConfig,
  tellsPlatform,
} from "./image-platform.ts";
import { formatImageReference, type ImageReference, manifestUrl } from "./image-reference.ts";
import { MANIFEST_ACCEPT, MANIFEST_BYTES_MAX } from "./media-type.ts";
import { formatOciPath, isSha256 } from "./oci-path.ts";
import { RegistryLogin } from "./registry-login.ts";

/** Indexes in indexes: images have one level, attachments sometimes two. */
const DEPTH_MAX = 4;

/** Images behind one name: the largest indexes list some 30 platforms. */
const MANIFESTS_MAX = 256;

/** Somebody waits for the answer. */
const RETRY = { attemptsMax: 3, baseDelayMs: 250, delayMsMax: 1_000, retryAfterMsMax: 5_000 };

export interface ImageRequest {
  image: ImageReference;
  /** Where its registry is reached: "https://host:port". */
  origin: string;
  platforms: PlatformChoice;
  /** Whether also an image for one platform alone must be for one of these. */
  isStrict: boolean;
  /** What the registry's user shows: Basic or Bearer; null: nothing. */
  authorization: Secret<string> | null;
}

/** One thing of an image, as it is asked for. */
export interface ImagePart {
  readonly url: string;
  readonly kind: Exclude<RegistryKind, "tag">;
  readonly digest: string;
}

export interface ResolvedImage {
  /** Of the manifest or index that the reference names now. */
  readonly digest: string;
  /** Whether the registry gives it only to whom it knows. */
  readonly isPrivate: boolean;
  /** Each once: an index before what it lists, a manifest before what it names. */
  readonly parts: readonly ImagePart[];
}

/**
 * @throws {DfError} source-unauthorized, -forbidden, -not-found as the registry says; not-found (no such
 *   platform); checksum, protocol: what it gives is not what it says; as readSource
 */
export async function resolveImage(
  request: ImageRequest,
  egress: EgressGuard,
  signal: AbortSignal,
): Promise<ResolvedImage> {
  const repository = new RepositoryReader(request, egress, signal);
  const walk = new ImageWalk(request, repository);
  const digest = await walk.start().catch((error: unknown) => {
    throw imageFault(error, request.authorization !== null);
  });
  return { digest, isPrivate: repository.isPrivate, parts: walk.parts };
}

/** Goes from a reference down to blobs. */
class ImageWalk {
  readonly #request: ImageRequest;
  readonly #repository: RepositoryReader;
  readonly #parts = new Map<string, ImagePart>();
  #manifestCount = 0;

  constructor(request: ImageRequest, repository: RepositoryReader) {
    this.#request = request;
    this.#repository = repository;
  }

  get parts(): ImagePart[] {
    return [...this.#parts.values()];
  }

  /** Returns the digest of what the reference names. */
  async start(): Promise<string> {
    const { reference } = this.#request.image;
    const raw = await this.#repository.read(reference);
    const digest = isSha256(reference) ? reference : digestOfManifest(raw);
    await this.#take(raw, { digest, descriptor: null, depth: 1 });
    return digest;
  }

  async #take(
    raw: RawManifest,
    { digest, descriptor, depth }: { digest: string; descriptor: Descriptor | null; depth: number },
  ): Promise<void> {
    const what = formatImageReference(this.#request.image);
    const manifest = readManifest(raw, { what, digest, descriptor });
    this.#add("manifest", digest);
    if (manifest.kind === "image") {
      if (depth === 1) await this.#requirePlatform(manifest.blobs[0]!);
      for (const blob of manifest.blobs) if (isBrought(blob)) this.#add("blob", blob.digest);
      return;
    }
    const entries = this.#entriesOf(manifest.manifests, depth);
    // One after the other: a registry counts requests, and nobody gains much by haste.
    for (const entry of entries) {
      const child = await this.#repository.read(entry.digest);
      await this.#take(child, { digest: entry.digest, descriptor: entry, depth: depth + 1 });
    }
  }

  /** Of an image that no index speaks for, its settings tell what it is for. */
  async #requirePlatform({ mediaType, digest }: Descriptor): Promise<void> {
    const { platforms, isStrict, image } = this.#request;
    if (platforms === null || !isStrict || !isSha256(digest) || !tellsPlatform(mediaType)) return;
    const config = await this.#repository.readBlob(digest);
    const what = formatImageReference(image);
    if (digestOfManifest({ bytes: config }) !== digest) {
      throw new DfError("checksum", `resolve ${what}: the registry's settings are not ${digest}`);
    }
    const platform = platformOfConfig(config);
    if (!isChosen(platforms, platform)) throw noSuchPlatform(what, platforms, [platform!]);
  }

  #entriesOf(listed: readonly IndexEntry[], depth: number): IndexEntry[] {
    const { image, platforms } = this.#request;
    const what = formatImageReference(image);
    const chosen = listed.filter(
      (entry) =>
        isSha256(entry.digest) &&
        isChosen(platforms, entry.platform) &&
        !this.#parts.has(entry.digest),
    );
    // Below another index it may hold attachments of one platform alone.
    if (chosen.length === 0 && depth === 1 && platforms !== null) {
      const has = listed.flatMap(({ platform }) => (platform === undefined ? [] : [platform]));
      throw noSuchPlatform(what, platforms, has);
    }
    this.#manifestCount += chosen.length;
    const tooMuch = depth === DEPTH_MAX ? "indexes in indexes" : "manifests";
    if (chosen.length > 0 && (depth === DEPTH_MAX || this.#manifestCount > MANIFESTS_MAX)) {
      throw new DfError("protocol", `resolve ${what}: it has too many ${tooMuch}`, {
        hint: "name the platforms that are wanted, or the image of one by its digest",
      });
    }
    return chosen;
  }

  #add(kind: ImagePart["kind"], digest: string): void {
    const { origin, image } = this.#request;
    const path = formatOciPath(image.repository, { kind, digest });
    if (!this.#parts.has(digest)) this.#parts.set(digest, { url: origin + path, kind, digest });
  }
}

/** Reads manifests of one repository. */
class RepositoryReader {
  readonly #request: ImageRequest;
  readonly #egress: EgressGuard;
  readonly #signal: AbortSignal;
  readonly #gate = new RetryGate(RETRY);
  readonly #login: RegistryLogin | null;
  isPrivate = false;

  constructor(request: ImageRequest, egress: EgressGuard, signal: AbortSignal) {
    const { origin, image, authorization } = request;
    const { repository } = image;
    this.#request = request;
    this.#egress = egress;
    this.#signal = signal;
    this.#login =
      authorization === null
        ? null
        : new RegistryLogin({ origin, repository, authorization, egress });
  }

  /** A manifest as the registry gives it; nothing of it is checked but its length. */
  read(reference: string): Promise<RawManifest> {
    const { origin, image } = this.#request;
    return this.#read(manifestUrl(origin, { repository: image.repository, reference }));
  }

  /** An image's settings; their digest is not checked. */
  async readBlob(digest: string): Promise<Uint8Array> {
    const { origin, image } = this.#request;
    const { bytes } = await this.#read(
      origin + formatOciPath(image.repository, { kind: "blob", digest }),
    );
    return bytes;
  }

  #read(url: string): Promise<RawManifest> {
    return this.isPrivate ? this.#readOwn(url) : this.#readPublic(url);
  }

  async #readPublic(url: string): Promise<RawManifest> {
    try {
      return await this.#fetch(url, {});
    } catch (error) {
      if (this.#login === null || !isRefusal(error)) throw error;
      const own = await this.#readOwn(url);
      this.isPrivate = true;
      return own;
    }
  }

  async #readOwn(url: string): Promise<RawManifest> {
    const authorization = await this.#login!.get(this.#signal);
    return this.#fetch(url, { authorization: authorization.reveal() });
  }

  #fetch(url: string, own: Record<string, string>): Promise<RawManifest> {
    const headers = { accept: MANIFEST_ACCEPT, ...own };
    const egress = this.#egress;
    return this.#gate.retrying(this.#signal, async () => {
      const address = { url, headers, timeoutMs: SOURCE_TIMEOUTS_MS, egress, isRegistry: true };
      const client = new SourceClient(address);
      try {
        const answer = await client.ask({}, this.#signal);
        if (answer.status !== 200) {
          answer.close();
          throw faultOfStatus(answer);
        }
        const bytes = await wholeBody(answer.body(), MANIFEST_BYTES_MAX);
        if (bytes !== null) return { bytes, contentType: answer.headers["content-type"] ?? null };
        throw new DfError("protocol", `read ${url}: more than 4 MiB`);
      } finally {
        client.close();
      }
    });
  }
}

/** What a registry says to whom it does not know, of what exists: some hide it. */
function isRefusal(error: unknown): boolean {
  const status = isDfError(error) ? error.refusal?.status : undefined;
  return status === 401 || status === 403 || status === 404;
}
