// Health and metrics of a peer. A module of its own, loaded when somebody asks: `df get` has a peer
// inside too, and starts sooner without it.

import type { Hono } from "hono";
import { healthRoutes } from "../service/health-routes.ts";
import { peerMetrics, type PeerReadings } from "./peer-metrics.ts";

export function peerHealth(readings: PeerReadings): Hono {
  const notReadyBecause = (): string | null => {
    const { supernodes, store } = readings.status();
    if (store.disk.isTooFull) return "the disk is above its high mark";
    const isAlone = supernodes.length > 0 && !supernodes.some(({ connected }) => connected);
    return isAlone ? "no supernode answers" : null;
  };
  return healthRoutes({ notReadyBecause, metrics: peerMetrics(readings) });
}
