// Entry point of the source worker: reads sources on a thread of its own, writes their pieces into
// data files and digests whole contents in order. See source-service.ts for the other side.

import { Pacer } from "../../engine/bytes/pacing.ts";
import { READ_CONNECTIONS } from "../../limits.ts";
import { EgressGuard } from "../../net/egress/egress-guard.ts";
import { DEFAULT_EGRESS } from "../../net/egress/egress-policy.ts";
import { ContentRead } from "./content-read.ts";
import { PieceMakers } from "./piece-makers.ts";
import type { SourceWorkerOrder, SourceWorkerReport } from "./source-worker-messages.ts";

declare const self: Worker;

const shared = {
  sourcePacer: new Pacer(null),
  diskPacer: new Pacer(null),
  egress: new EgressGuard({ policy: DEFAULT_EGRESS, ...READ_CONNECTIONS }),
  makers: new PieceMakers(),
  report: (message: SourceWorkerReport): void => self.postMessage(message),
};
const reads = new Map<number, ContentRead>();

self.onmessage = (message: MessageEvent<SourceWorkerOrder>) => {
  const order = message.data;
  switch (order.kind) {
    case "read": {
      const read = new ContentRead(order, shared);
      reads.set(order.read, read);
      void read.run().finally(() => reads.delete(order.read));
      break;
    }
    case "content":
      reads.get(order.read)?.contentIs(order);
      break;
    case "cancel":
      reads.get(order.read)?.cancel();
      break;
    case "limitRead":
      reads.get(order.read)?.setRate(order.rateBytesPerSec);
      break;
    case "limit":
      shared.sourcePacer.setRate(order.limits.sourceRateBytesPerSec);
      shared.diskPacer.setRate(order.limits.diskRateBytesPerSec);
      shared.makers.setLinkRate(order.limits.uploadRateBytesPerSec);
      break;
    case "egress":
      shared.egress.become(order.policy);
      break;
  }
};
