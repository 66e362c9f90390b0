// Answers the pull API of container registries (OCI distribution specification) for engines of this host:
//
//   GET blob, GET/HEAD manifest, GET/HEAD tag ─▶ swarm ─▶ what it cannot bring ─┐
//   GET /v2/, HEAD blob, tags/list, referrers, other digests ──────────────────▶ passed through
//   anything else ─▶ 405: who pushes asks the registry itself
//
// Whatever goes wrong is an error as registries tell them: the engine then asks the registry.

import type { ServerResponse } from "node:http";
import { DfError, isDfError, messageOf } from "../../errors.ts";
import { namesTag } from "../../net/entity-tag.ts";
import type { LocalApi } from "../../net/local/local-server.ts";
import type { Fields } from "../../net/proxy/message-fields.ts";
import type { ProxiedRequest, ProxyHandler } from "../../net/proxy/proxied-request.ts";
import { rewriteLinks } from "../../net/registry/link-field.ts";
import { type OciError, ociErrorOf } from "../../net/registry/oci-error.ts";
import { formatWarning } from "../../net/registry/warning-field.ts";
import { isSha256 } from "../../net/registry/oci-path.ts";
import type { RegistryRules } from "../../net/registry/upstream-choice.ts";
import type { BroughtContent } from "./brought-content.ts";
import { answerContent } from "./content-answer.ts";
import { ContentProofs } from "./content-proofs.ts";
import { type JudgedManifest, judgeManifest } from "./manifest-bytes.ts";
import { type MirrorCounts, type MirrorResult, noRequests } from "./mirror-counts.ts";
import { RegistryTroubles } from "./registry-troubles.ts";
import { type PassedAnswer, PassThrough, type PassThroughOptions } from "./pass-through.ts";
import { refuse } from "./refuse.ts";
import {
  isForSwarm,
  ownFields,
  askedUrlOf,
  Refusal,
  type RegistryRequest,
  registryUrlOf,
  requestAt,
  requestOf,
  subjectOf,
} from "./registry-request.ts";
import { SwarmOrRegistry } from "./swarm-or-registry.ts";
import { SwarmPull } from "./swarm-pull.ts";
import { writePart } from "./write-part.ts";

export interface RegistryMirrorOptions extends PassThroughOptions {
  local: LocalApi;
  registries: RegistryRules;
  onWarning: (message: string) => void;
  /** Hears what came of each request. */
  onNotice?: ((message: string) => void) | undefined;
}

export class RegistryMirror {
  readonly counts: MirrorCounts = noRequests();
  readonly #rules: RegistryRules;
  readonly #passing: PassThrough;
  readonly #ways: SwarmOrRegistry;
  readonly #proofs = new ContentProofs();
  readonly #troubles = new RegistryTroubles();
  readonly #warn: (message: string) => void;
  readonly #notice: ((message: string) => void) | undefined;

  constructor(options: RegistryMirrorOptions) {
    this.#rules = options.registries;
    this.#passing = new PassThrough(options);
    this.#ways = new SwarmOrRegistry({
      ...{ pull: new SwarmPull(options.local), passing: this.#passing },
      onSilence: ({ upstream }, error) => this.#tellTrouble(upstream.registry, error),
    });
    this.#warn = options.onWarning;
    this.#notice = options.onNotice;
  }

  /** Answers what the port itself is asked: the request says which registry is meant. */
  readonly handle: ProxyHandler = (asked, response) =>
    // By a greeting they ask nothing of the default registry: whether that is allowed says nothing to them.
    this.#settle(asked, response, () =>
      requestOf(asked, isGreetingBeforeNames(asked) ? { ...this.#rules, allow: [] } : this.#rules),
    );

  /** Answers a request to the pull API that names its registry by its URL, as any proxy's does. */
  readonly handleAt: ProxyHandler = (asked, response) =>
    this.#settle(asked, response, () => requestAt(asked));

  async #settle(
    asked: ProxiedRequest,
    response: ServerResponse,
    read: () => RegistryRequest,
  ): Promise<void> {
    let request: RegistryRequest | null = null;
    let result: MirrorResult;
    let because = "";
    try {
      request = read();
      result = await this.#answer(request, response);
    } catch (error) {
      result = this.#failed(asked, response, request, error);
      if (result !== "left") because = `: ${messageOf(error)}`;
    }
    this.counts.requests[result]++;
    const registry = request === null ? "" : ` of ${request.upstream.registry}`;
    this.#notice?.(`${asked.message.method} ${asked.url.pathname}${registry}: ${result}${because}`);
  }

  #failed(
    { message, url, signal }: ProxiedRequest,
    response: ServerResponse,
    request: RegistryRequest | null,
    error: unknown,
  ): MirrorResult {
    if (signal.aborted) {
      response.destroy();
      return "left";
    }
    const isRefusal = error instanceof Refusal;
    const known = isDfError(error) ? error : new DfError("internal", messageOf(error));
    if (!isRefusal && ["internal", "checksum", "forged"].includes(known.code)) {
      // The path alone: before it a proxy's client may have written a password.
      this.#warn(`${message.method} ${url.pathname}: ${known.message}`);
    } else if (!isRefusal && request !== null) {
      this.#tellTrouble(request.upstream.registry, known);
    }
    if (response.headersSent) {
      // Only a broken connection tells that the rest is missing.
      response.destroy();
      return "failed";
    }
    const subject = request === null ? "other" : subjectOf(request);
    refuse(
      response,
      isRefusal ? error.oci : ociErrorOf(known, subject),
      request === null ? {} : ownFields(request),
    );
    return isRefusal ? "mirror" : "failed";
  }

  #tellTrouble(registry: string, error: DfError): void {
    const trouble = this.#troubles.tell(registry, error);
    if (trouble !== null) this.#warn(trouble);
  }

  async #answer(request: RegistryRequest, response: ServerResponse): Promise<MirrorResult> {
    if (!isForSwarm(request)) return this.#pass(request, response);
    const answered = await this.#ways.answerTo(request);
    return answered.by === "registry"
      ? this.#give(request, response, answered.answer)
      : this.#giveFromSwarm(request, response, answered.content);
  }

  async #giveFromSwarm(
    request: RegistryRequest,
    response: ServerResponse,
    content: BroughtContent,
  ): Promise<MirrorResult> {
    const { resource } = request;
    if (resource.kind === "blob") {
      const { digest } = resource;
      const fields = {
        ...ownFields(request),
        "content-type": "application/octet-stream",
        "docker-content-digest": digest,
      };
      const etag = `"${digest}"`;
      const sha256 = digest.slice("sha256:".length);
      this.counts.bytes.swarm += await this.#proofs.during(content, sha256, (proof) =>
        answerContent(request.asked, response, { content, fields, etag, proof }),
      );
      return "swarm";
    }
    const expected = {
      digest: resource.kind === "manifest" ? resource.digest : null,
      contentType: null,
      from: content,
    };
    const manifest = await judgeManifest(content.read(0, content.length), expected);
    this.counts.bytes.swarm += answerManifest(request, response, manifest, content.stale);
    return "swarm";
  }

  async #pass(request: RegistryRequest, response: ServerResponse): Promise<MirrorResult> {
    const { asked, upstream, resource } = request;
    if (resource.kind === "version" && !upstream.isNamed) return this.#greet(request, response);
    return this.#give(request, response, await this.#passing.ask(asked, askedUrlOf(request)));
  }

  /** Writes what the registry said. A manifest that it gives to one engine alone is judged like all others. */
  async #give(
    request: RegistryRequest,
    response: ServerResponse,
    answer: PassedAnswer,
  ): Promise<MirrorResult> {
    const { asked, resource } = request;
    const isRead = asked.message.method === "GET";
    const isManifest = resource.kind === "manifest" || resource.kind === "tag";
    try {
      const fields = withOwn(answer.fields, request);
      let body = answer.body();
      if (isRead && isManifest && answer.status === 200) {
        const digest =
          resource.kind === "manifest" && isSha256(resource.digest) ? resource.digest : null;
        const contentType = [answer.fields["content-type"] ?? []].flat()[0] ?? null;
        const { bytes } = await judgeManifest(body, { digest, contentType });
        body = once(bytes);
      }
      response.writeHead(answer.status, fields);
      if (asked.message.method !== "HEAD") {
        for await (const part of body) {
          await writePart(response, part, asked.signal);
          this.counts.bytes.registry += part.length;
        }
      }
      response.end();
    } finally {
      answer.close();
    }
    return "registry";
  }

  /**
   * Whoever asks for nothing yet and names no registry is told by the default one what to show. A registry
   * that is down does not make the mirror one that is not there.
   */
  async #greet(request: RegistryRequest, response: ServerResponse): Promise<MirrorResult> {
    const { asked } = request;
    if (isGreetingBeforeNames(asked)) {
      if (asked.message.headers.authorization === undefined) throw new Refusal(SHOW_WHAT_IS_KEPT);
      return this.#greetSelf(request, response);
    }
    try {
      return await this.#give(
        request,
        response,
        await this.#passing.ask(asked, registryUrlOf(request)),
      );
    } catch (error) {
      if (response.headersSent || asked.signal.aborted) throw error;
      return this.#greetSelf(request, response);
    }
  }

  #greetSelf(request: RegistryRequest, response: ServerResponse): MirrorResult {
    const body = "{}";
    const fields = {
      ...ownFields(request),
      "content-type": "application/json",
      "content-length": String(body.length),
    };
    const isHead = request.asked.message.method === "HEAD";
    response.writeHead(200, fields).end(isHead ? undefined : body);
    return "mirror";
  }
}

/**
 * podman, CRI-O, skopeo, buildah and what else is built on containers/image. The words of the default registry
 * would not be those of the one that they name in each path.
 */
const NAMES_REGISTRY_IN_PATH = /^(?:libpod|podman|cri-o|skopeo|buildah|containers)\//i;

function isGreetingBeforeNames({ message, url }: ProxiedRequest): boolean {
  return (
    /^\/v2\/?$/.test(url.pathname) &&
    NAMES_REGISTRY_IN_PATH.test(message.headers["user-agent"] ?? "")
  );
}

/**
 * They show what is kept for a registry only if the first answer of its host asks for it. Without anything
 * kept they go on with an empty name and password, which count as none here.
 */
const SHOW_WHAT_IS_KEPT: OciError = {
  ...{
    status: 401,
    code: "UNAUTHORIZED",
    message: "show what is kept for the registry, if anything",
  },
  challenge: 'Basic realm="registry mirror"',
};

/**
 * @param stale why it may be out of date; null: it is current
 * @returns bytes of the body that were written
 */
function answerManifest(
  request: RegistryRequest,
  response: ServerResponse,
  { bytes, digest, mediaType }: JudgedManifest,
  stale: string | null,
): number {
  const { method, headers } = request.asked.message;
  const etag = `"${digest}"`;
  const fields = {
    ...{ ...ownFields(request), etag, "docker-content-digest": digest },
    ...(stale === null ? {} : { warning: formatWarning(`this may be out of date: ${stale}`) }),
  };
  if (namesTag(headers["if-none-match"], etag)) {
    response.writeHead(304, fields).end();
    return 0;
  }
  response.writeHead(200, {
    ...fields,
    "content-type": mediaType,
    "content-length": String(bytes.length),
  });
  response.end(method === "HEAD" ? undefined : bytes);
  return method === "HEAD" ? 0 : bytes.length;
}

function withOwn(fields: Fields, request: RegistryRequest): Fields {
  const { asked, resource, ns } = request;
  const { link, ...others } = fields;
  const isList = resource.kind === "tags" || resource.kind === "referrers";
  if (!isList || link === undefined) return { ...others, ...ownFields(request) };
  const place = { url: askedUrlOf(request), path: asked.url.pathname, ns };
  const links = rewriteLinks([link].flat().join(", "), place);
  return { ...others, ...ownFields(request), ...(links === null ? {} : { link: links }) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
