// The main thread's handle on the piece worker: starts it, tells it what may be served, and hears
// what was uploaded. Used by the supernode for seed pieces and by the peer for its children.

import { DfError } from "../../errors.ts";
import type { ServedContent } from "../../net/piece/piece-server.ts";
import type { StoredContent } from "../../store/piece-store.ts";
import type { HostIdentity } from "../peer/host-identity.ts";
import type {
  HostKeys,
  PieceWorkerOrder,
  PieceWorkerReport,
  UploadCounts,
  UploadLimits,
} from "./piece-worker-messages.ts";
import { startWorker } from "./start-worker.ts";

export interface PieceServiceOptions {
  hostname: string;
  /** 0: any free port. */
  port: number;
  limits: UploadLimits;
  /** Whose piece server it is. @defaultValue it proves no address */
  identity?: Pick<HostIdentity, "hostId" | "privateKey">;
  /** Hears of bugs that cost one request. @defaultValue nobody does */
  onFault?: (message: string) => void;
  /** Hears about uploads about once a second while there are any. */
  onUploads?: (counts: UploadCounts) => void;
  /** One frame of the rows of a content that this host vouches for. @defaultValue none are told */
  rows?: (contentId: string, from: number) => Uint8Array | null;
  /** One answer of what bears the fleet's signature (signatures-api.ts). @defaultValue nothing does */
  signatures?: (contentId: string, from: number) => Uint8Array | null;
}

export interface PieceService {
  readonly port: number;
  /** Offers the verified pieces of a content; call again when its length or bitmap was replaced. */
  serve(content: StoredContent): void;
  remove(contentId: string): void;
  /**
   * Gives private contents against tickets of this cluster from now on.
   * @param clusterKey Ed25519 SPKI, base64; null: to nobody
   */
  trust(clusterKey: string | null): void;
  setLimits(limits: UploadLimits): void;
  stop(): Promise<void>;
}

/**
 * Starts the worker and waits until it listens.
 * @throws {DfError} usage when the address cannot be bound
 */
export async function startPieceService(options: PieceServiceOptions): Promise<PieceService> {
  const worker = startWorker("piece-worker");
  const order = (message: PieceWorkerOrder): void => worker.postMessage(message);
  let stopped = (): void => {};

  const port = await new Promise<number>((resolve, reject) => {
    worker.onerror = (event) =>
      reject(new DfError("internal", `start the piece worker: ${event.message}`));
    worker.onmessage = (message: MessageEvent<PieceWorkerReport>) => {
      const report = message.data;
      switch (report.kind) {
        case "listening":
          resolve(report.port);
          break;
        case "refused":
          reject(addressRefused(options, report));
          break;
        case "uploads":
          options.onUploads?.(report);
          break;
        case "asked":
          order(answerTo(options, report));
          break;
        case "fault":
          options.onFault?.(report.message);
          break;
        case "stopped":
          stopped();
          break;
      }
    };
    order({
      kind: "listen",
      hostname: options.hostname,
      port: options.port,
      limits: options.limits,
      identity: identityOf(options),
    });
  }).catch((error: unknown) => {
    worker.terminate();
    throw error;
  });

  return {
    port,
    serve(content) {
      const { contentId } = content.facts;
      order({ kind: "serve", contentId, content: servedOf(content) });
    },
    trust: (clusterKey) => order({ kind: "trust", clusterKey }),
    remove: (contentId) => order({ kind: "remove", contentId }),
    setLimits: (limits) => order({ kind: "limit", limits }),
    async stop() {
      await new Promise<void>((resolve) => {
        stopped = resolve;
        // A worker that died says nothing any more.
        worker.addEventListener("close", () => resolve());
        order({ kind: "stop" });
      });
      worker.terminate();
    },
  };
}

/** Only what proves an address: not all that an identity may come with. */
function identityOf({ identity }: PieceServiceOptions): HostKeys | null {
  if (identity === undefined) return null;
  return { hostId: identity.hostId, privateKey: identity.privateKey.reveal() };
}

function servedOf(content: StoredContent): ServedContent {
  const { facts, have, wireForms, manifest, dataPath } = content;
  return {
    ...{ path: dataPath, layout: manifest.layout, wireForms },
    ...{ words: have.words, pieceCount: have.size },
    isPrivate: facts.isPrivate ?? false,
  };
}

function answerTo(
  options: PieceServiceOptions,
  { question, what, contentId, from }: Extract<PieceWorkerReport, { kind: "asked" }>,
): PieceWorkerOrder {
  // A copy: with a view all of its buffer would travel.
  const bytes = options[what]?.(contentId, from)?.slice() ?? null;
  return { kind: "tell", question, bytes };
}

function addressRefused(
  options: PieceServiceOptions,
  report: Extract<PieceWorkerReport, { kind: "refused" }>,
): DfError {
  const hint =
    report.code === "EADDRINUSE"
      ? "another process listens there; choose another port or stop it"
      : "choose an address of this host and a port above 1023";
  return new DfError(
    "usage",
    `serve pieces on ${options.hostname}:${options.port}: ${report.message}`,
    { hint },
  );
}
