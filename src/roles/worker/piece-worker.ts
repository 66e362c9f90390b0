// Entry point of the piece worker: a PieceServer on a thread of its own, ordered about by the main
// thread. See piece-service.ts for the other side.

import { Pacer } from "../../engine/bytes/pacing.ts";
import { Secret } from "../../engine/bytes/secret.ts";
import { messageOf } from "../../errors.ts";
import { surviveFaults } from "../service/survive-faults.ts";
import { PieceServer } from "../../net/piece/piece-server.ts";
import type {
  HostKeys,
  PieceWorkerOrder,
  PieceWorkerReport,
  ToldOfContent,
  UploadLimits,
} from "./piece-worker-messages.ts";

declare const self: Worker;

/** How often uploads are reported while there are any. */
const REPORT_INTERVAL_MS = 1_000;

let server: PieceServer | undefined;
let reportedCount = 0;
let reportedActive = 0;
const uploadPacer = new Pacer(null);
const diskPacer = new Pacer(null);
/** Requests that the main thread has yet to answer. */
const questions = new Map<number, (bytes: Uint8Array | null) => void>();
let nextQuestion = 0;

surviveFaults((message) => report({ kind: "fault", message }));

self.onmessage = (message: MessageEvent<PieceWorkerOrder>) => {
  const order = message.data;
  switch (order.kind) {
    case "listen":
      listen(order);
      break;
    case "trust":
      server?.trust(order.clusterKey);
      break;
    case "serve":
      server?.serve(order.contentId, order.content);
      break;
    case "remove":
      server?.remove(order.contentId);
      break;
    case "limit":
      setRates(order.limits);
      server?.setUploadSlots(order.limits.uploadSlots);
      break;
    case "tell":
      questions.get(order.question)?.(order.bytes);
      questions.delete(order.question);
      break;
    case "stop":
      void stop();
      break;
  }
};

function listen(order: Extract<PieceWorkerOrder, { kind: "listen" }>): void {
  setRates(order.limits);
  try {
    server = new PieceServer({
      hostname: order.hostname,
      port: order.port,
      uploadSlots: order.limits.uploadSlots,
      pacers: [uploadPacer, diskPacer],
      rows: (contentId, from) => ask("rows", contentId, from),
      signatures: (contentId, from) => ask("signatures", contentId, from),
      ...(order.identity === null ? {} : { identity: identityOf(order.identity) }),
    });
    report({ kind: "listening", port: server.port });
    setInterval(reportUploads, REPORT_INTERVAL_MS);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    report({ kind: "refused", code, message: messageOf(error) });
  }
}

/** Between threads only plain values travel. */
function identityOf({ hostId, privateKey }: HostKeys) {
  return { hostId, privateKey: new Secret(privateKey) };
}

function ask(what: ToldOfContent, contentId: string, from: number): Promise<Uint8Array | null> {
  const question = nextQuestion++;
  return new Promise((resolve) => {
    questions.set(question, resolve);
    report({ kind: "asked", question, what, contentId, from });
  });
}

function setRates(limits: UploadLimits): void {
  uploadPacer.setRate(limits.uploadRateBytesPerSec);
  diskPacer.setRate(limits.diskRateBytesPerSec);
}

async function stop(): Promise<void> {
  await server?.stop();
  report({ kind: "stopped" });
}

/** Says nothing while nothing changes, so that an idle host stays idle. */
function reportUploads(): void {
  if (server === undefined) return;
  const { uploadedBytes, uploadCount, activeUploads } = server;
  if (uploadCount === reportedCount && activeUploads === reportedActive) return;
  reportedCount = uploadCount;
  reportedActive = activeUploads;
  report({
    kind: "uploads",
    uploadedBytes,
    uploadCount,
    activeUploads,
    usedContentIds: server.takeUsed(),
  });
}

function report(message: PieceWorkerReport): void {
  self.postMessage(message);
}
