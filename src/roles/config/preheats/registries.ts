// The registries that images are preheated from, as `df config` asks them: where each is, under the rules
// that the fleet has for sources, and through the same egress guard as supernodes have.

import { Secret } from "../../../engine/bytes/secret.ts";
import { DfError } from "../../../errors.ts";
import { EgressGuard } from "../../../net/egress/egress-guard.ts";
import { DEFAULT_EGRESS } from "../../../net/egress/egress-policy.ts";
import type { Listener } from "../../../net/egress/own-ports.ts";
import {
  formatPlatform,
  ownPlatform,
  parsePlatforms,
} from "../../../net/registry/image-platform.ts";
import {
  formatImageReference,
  imageOfManifestUrl,
  type ImageReference,
  manifestUrl,
  parseImageReference,
} from "../../../net/registry/image-reference.ts";
import { parseOciPath, repositoryIn } from "../../../net/registry/oci-path.ts";
import { RegistryLogin } from "../../../net/registry/registry-login.ts";
import { resolveImage } from "../../../net/registry/resolve-image.ts";
import {
  chooseUpstream,
  DEFAULT_REGISTRY_RULES,
  type RegistryRules,
} from "../../../net/registry/upstream-choice.ts";
import { DEFAULT_SETTINGS, mergeSettings } from "../../../net/wire/fleet-settings.ts";
import type { ImagePreheatRequest, Preheat } from "../../../net/wire/preheat-api.ts";
import type { TaskRequest } from "../../../net/wire/task.ts";
import { egressOf } from "../../settings/egress-of.ts";
import { underSourceRules } from "../../settings/source-rules.ts";
import type { SettingsBook } from "../settings/settings-book.ts";

/** Connections to one registry, and what waits for them: an image is a handful of manifests. */
const REGISTRY_CONNECTIONS = { connectionsMax: 8, waitingMax: 256 };

/** Whoever orders a preheat waits for it: clients commonly give up after 30 s. */
const RESOLVE_TIMEOUT_MS = 25_000;

export interface RegistriesOptions {
  settings: SettingsBook;
  /** Where registries are reached that are not where their names say. */
  upstreams: RegistryRules["upstreams"];
  /** Whether only this machine reaches this service: then loopback is the same to all whom it serves. */
  isPrivate: boolean;
  /** PEM certificates of private CAs that registries have theirs from; undefined: none. */
  sourceCa: string | undefined;
}

/** An image as a job keeps it, and the URLs that a pull of it would ask for. */
export interface ImageToBring {
  image: NonNullable<Preheat["image"]>;
  urls: string[];
}

export class Registries {
  readonly #options: RegistriesOptions;
  readonly #egress = new EgressGuard({ policy: DEFAULT_EGRESS, ...REGISTRY_CONNECTIONS });
  readonly #stopped = new AbortController();
  #listeners: readonly Listener[] = [];

  constructor(options: RegistriesOptions) {
    this.#options = options;
  }

  /** Its ports are known: no registry is there. */
  listensOn(listeners: readonly Listener[]): void {
    this.#listeners = listeners;
  }

  stop(): void {
    this.#stopped.abort(new DfError("unavailable", "df config is stopping"));
  }

  /**
   * Asks the registry what the image is made of now.
   * @throws {DfError} usage, denied, not-shareable; as resolveImage
   */
  async resolve({
    image: text,
    platforms: named,
    authorization,
  }: Pick<ImagePreheatRequest, "image" | "platforms" | "authorization">): Promise<ImageToBring> {
    const platforms = named ?? formatPlatform(ownPlatform());
    const { image, origin } = this.#find(text);
    const rules = await this.#followSettings();
    const manifest = { ...PLAIN_TASK, url: manifestUrl(origin, image) };
    underSourceRules(manifest, rules);
    const resolved = await resolveImage(
      {
        ...{ image, origin, platforms: parsePlatforms(platforms)!.choice },
        // Who names none takes the only one that there is.
        isStrict: named !== undefined,
        authorization: authorization === undefined ? null : new Secret(authorization),
      },
      this.#egress,
      this.#within(RESOLVE_TIMEOUT_MS, text),
    );
    const { digest, isPrivate, parts } = resolved;
    return {
      image: { name: formatImageReference(image), digest, platforms, isPrivate },
      urls: parts.map(({ url }) => url),
    };
  }

  /** How the user of a private image is let in where its blobs are. @param url of one of them */
  loginAt(url: string, authorization: Secret<string>): RegistryLogin {
    const { origin, pathname } = new URL(url);
    const path = parseOciPath(pathname);
    const repository = path.kind === "path" ? repositoryIn(path) : "";
    return new RegistryLogin({ origin, repository, authorization, egress: this.#egress });
  }

  /** Gets what is to be shown now. @throws {DfError} as RegistryLogin.get */
  async logIn(login: RegistryLogin): Promise<void> {
    await this.#followSettings();
    await login.get(this.#within(RESOLVE_TIMEOUT_MS, "its registry"));
  }

  #find(text: string): { image: ImageReference; origin: string } {
    const isUrl = /^https?:/i.test(text);
    if (isUrl && !URL.canParse(text)) throw noManifest(text);
    const named = isUrl ? imageOfManifestUrl(text) : null;
    if (isUrl && named === null) throw noManifest(text);
    const image = named?.image ?? parseImageReference(text);
    // A URL says by which scheme; where the registry is elsewhere, only the rules do.
    const header = named?.origin ?? image.registry;
    const rules = { ...DEFAULT_REGISTRY_RULES, upstreams: this.#options.upstreams };
    const choice = chooseUpstream({ prefix: null, ns: null, header }, rules);
    if (choice.kind !== "chosen") throw noManifest(text);
    return { image, origin: choice.upstream.origin };
  }

  async #followSettings() {
    const { settings, isPrivate, sourceCa } = this.#options;
    const { fleet } = await settings.current();
    const rules = mergeSettings(DEFAULT_SETTINGS, fleet);
    this.#egress.become(egressOf(rules, { isPrivate, sourceCa, listeners: this.#listeners }));
    return rules;
  }

  #within(timeoutMs: number, what: string): AbortSignal {
    const expiry = new AbortController();
    const message = `resolve ${what}: its registry did not answer within ${timeoutMs / 1_000} s`;
    const expire = (): void => expiry.abort(new DfError("timeout", message));
    setTimeout(expire, timeoutMs).unref();
    return AbortSignal.any([expiry.signal, this.#stopped.signal]);
  }
}

const PLAIN_TASK = { headers: {}, tag: "", filterQuery: [], checksum: "" };

/** What machines are asked to bring for a URL of an image. */
export function taskOfPart(url: string): TaskRequest {
  const path = parseOciPath(new URL(url).pathname);
  if (path.kind !== "path") throw new TypeError("no URL of a registry");
  const { resource } = path;
  if (resource.kind !== "blob" && resource.kind !== "manifest") throw new TypeError("no digest");
  return { ...PLAIN_TASK, url, checksum: resource.digest, registryKind: resource.kind };
}

function noManifest(text: string): DfError {
  return new DfError("usage", `read the image ${text}: no image's name, and no manifest's URL`, {
    hint: "write ghcr.io/team/app:1.2, or https://ghcr.io/v2/team/app/manifests/1.2",
  });
}
