// What a supernode reads sources with, and the guards of all that it asks them: one policy, which
// follows the settings, and the ports that this process listens on.

import { DfError } from "../../errors.ts";
import { PROOF_CONNECTIONS } from "../../limits.ts";
import { EgressGuard } from "../../net/egress/egress-guard.ts";
import type { EgressPolicy } from "../../net/egress/egress-policy.ts";
import type { Listener } from "../../net/egress/own-ports.ts";
import { egressOf } from "../settings/egress-of.ts";
import type { LiveSettings } from "../settings/live-settings.ts";
import { createSourceService, type SourceService } from "../worker/source-service.ts";
import { isLoopback } from "../command-line/listen-address.ts";
import { sourceLimits } from "./machine-limits.ts";
import { SourceProofs } from "./source-proofs.ts";
import type { SupernodeOptions } from "./supernode-options.ts";

export interface GuardedSources {
  readonly sources: SourceService;
  readonly proofs: SourceProofs;
  /** What counts now. */
  readonly policy: EgressPolicy;
  /** Its ports are known: no source is there. */
  readonly listensOn: (listeners: readonly Listener[]) => void;
  /** Ends what is under way. */
  stop(): void;
}

export function openGuardedSources(
  options: SupernodeOptions,
  settings: LiveSettings,
): GuardedSources {
  let listeners: readonly Listener[] = [];
  const policyNow = (): EgressPolicy =>
    egressOf(settings.current, {
      isPrivate: isPrivate(options),
      ...{ listeners, sourceCa: options.sourceCa },
    });
  const sources = createSourceService(sourceLimits(settings.current), policyNow());
  // Its own: more of them may be under way at once than of other requests.
  const proofEgress = new EgressGuard({ policy: policyNow(), ...PROOF_CONNECTIONS });
  const proving = new AbortController();
  const guard = (): void => {
    sources.setEgress(policyNow());
    proofEgress.become(policyNow());
  };
  settings.follow(guard);
  return {
    sources,
    proofs: new SourceProofs({ egress: proofEgress, signal: proving.signal }),
    get policy() {
      return sources.egress.policy;
    },
    listensOn(known) {
      listeners = known;
      guard();
    },
    stop() {
      proving.abort(new DfError("unavailable", "the supernode is stopping"));
      sources.stop();
    },
  };
}

/** Whether only this machine reaches any listener. */
function isPrivate({ listen, pieceListen }: SupernodeOptions): boolean {
  return isLoopback(listen.hostname) && isLoopback((pieceListen ?? listen).hostname);
}
