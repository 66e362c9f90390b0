// A supernode's link to its fleet: the loop of heartbeats. It says how this supernode is, keeps what
// must be heard until it was, and tells the parts of the role what the fleet wants. While `df config`
// is silent all that was told last stays true, also over a restart.
//
//   report, hostsChanged ─▶ outbox ─▶ heartbeat ─▶ answer ─▶ onChange, onSettings, onCommand, onRoutes

import { z } from "zod";
import { isDfError, messageOf } from "../../errors.ts";
import type { Command, CommandResult } from "../wire/command.ts";
import { heartbeatAnswerSchema, type Heartbeat, type HeartbeatAnswer } from "../wire/fleet-api.ts";
import type { SettingsLayers } from "../wire/fleet-settings.ts";
import type { FleetClient } from "./fleet-client.ts";
import { HeartbeatOutbox } from "./heartbeat-outbox.ts";
import { olderAnswer } from "./older-answer.ts";
import { KeptJson } from "./kept-json.ts";
import type { Membership } from "./membership.ts";
import { Pause } from "./pause.ts";

export type FleetMember = HeartbeatAnswer["members"][number];
export type Upstream = NonNullable<HeartbeatAnswer["upstream"]>;

export interface FleetLinkOptions {
  membership: Membership;
  /** Who this supernode is, as the fleet lists it. */
  self: Pick<Heartbeat, "hostId" | "version" | "labels" | "isTls">;
  /** The file in which what was told last is kept. */
  path: string;
  onWarning: (message: string) => void;
}

/** How a supernode is now, asked before every heartbeat. */
export type SupernodeState = Pick<Heartbeat, "addresses" | "load" | "disk" | "contents">;

/** What stays true while `df config` is silent. Commands come again by themselves. */
const toldSchema = heartbeatAnswerSchema.pick({
  cluster: true,
  members: true,
  upstream: true,
  routesVersion: true,
  settings: true,
  revoked: true,
});
type Told = z.infer<typeof toldSchema>;

/** The word of another fleet counts nothing here; files of earlier versions do not say whose it is. */
const keptSchema = toldSchema.extend({ fleetKey: z.string().optional() });

/** Until the first answer says better. */
const INTERVAL_SECONDS_FIRST = 5;

/** Results wait this long for company, so that many small ones travel together. */
const RESULT_DELAY_MS = 200;

/** A supernode that is told to stop does not wait longer for `df config`. */
const LEAVE_TIMEOUT_MS = 2_000;

/** A supernode that is ready shall be in the lists; while df config is down it serves all the same. */
const FIRST_ANSWER_PATIENCE_MS = 2_000;

export class FleetLink {
  readonly #options: FleetLinkOptions;
  readonly #client: FleetClient;
  readonly #outbox = new HeartbeatOutbox();
  readonly #pause = new Pause();
  readonly #stopped = new AbortController();
  readonly #kept: KeptJson<typeof keptSchema>;
  readonly #changeListeners = new Set<() => void>();
  readonly #settingsListeners = new Set<(layers: SettingsLayers) => void>();
  readonly #commandListeners = new Set<(command: Command) => void>();
  readonly #routesListeners = new Set<(version: number) => void>();
  readonly #revokedListeners = new Set<(revoked: ReadonlySet<string>) => void>();
  #describe: (() => Promise<SupernodeState>) | null = null;
  #told: Told | null = null;
  #intervalSeconds = INTERVAL_SECONDS_FIRST;
  #isSilent = false;
  #loop: Promise<void> | undefined;

  constructor(options: FleetLinkOptions) {
    this.#options = options;
    this.#client = options.membership.client();
    this.#kept = new KeptJson(options.path, keptSchema);
  }

  get hostId(): string {
    return this.#options.self.hostId;
  }

  get #fleetKey(): string {
    return this.#options.membership.fleetKey;
  }

  /** Null before anything was ever told. */
  get cluster(): string | null {
    return this.#told?.cluster ?? null;
  }

  /** The cluster's living members, this one among them; empty before anything was ever told. */
  get members(): readonly FleetMember[] {
    return this.#told?.members ?? [];
  }

  /** The cluster that contents come from instead of from sources; null: none. */
  get upstream(): Upstream | null {
    return this.#told?.upstream ?? null;
  }

  /** Null before anything was ever told. */
  get settings(): SettingsLayers | null {
    return this.#told?.settings ?? null;
  }

  get routesVersion(): number {
    return this.#told?.routesVersion ?? 0;
  }

  /** IDs of credentials that are no longer believed. */
  get revoked(): ReadonlySet<string> {
    return new Set(this.#told?.revoked);
  }

  /** Hears of changed members, upstream or cluster. Like all below returns a function that ends it. */
  onChange(listener: () => void): () => void {
    return subscribe(this.#changeListeners, listener);
  }

  onSettings(listener: (layers: SettingsLayers) => void): () => void {
    return subscribe(this.#settingsListeners, listener);
  }

  /** Hears each command whenever it comes: again while it has no result, perhaps for other hosts. */
  onCommand(listener: (command: Command) => void): () => void {
    return subscribe(this.#commandListeners, listener);
  }

  /** Hears that hosts should ask for their lists again. */
  onRoutes(listener: (version: number) => void): () => void {
    return subscribe(this.#routesListeners, listener);
  }

  onRevoked(listener: (revoked: ReadonlySet<string>) => void): () => void {
    return subscribe(this.#revokedListeners, listener);
  }

  /** Tells what became of a command; kept until it was heard, a later result takes its place. */
  report(result: CommandResult): void {
    this.#outbox.report(result);
    if (result.state !== "running") this.#pause.cutShort(RESULT_DELAY_MS);
  }

  /** Notes hosts whose channel opened or closed; told with the next heartbeat. */
  hostsChanged(hosts: { arrived?: readonly string[]; gone?: readonly string[] }): void {
    this.#outbox.hostsChanged(hosts);
  }

  /** Takes up what was told before the last stop; to be called once, before `start`. */
  async recall(): Promise<void> {
    const kept = await this.#kept.read();
    if (kept === null) return;
    const { fleetKey = this.#fleetKey, ...told } = kept;
    if (fleetKey === this.#fleetKey) this.#take(told);
  }

  /** Sends heartbeats from now on until `stop`; returns when the fleet knows of it, or after some patience. */
  async start(describe: () => Promise<SupernodeState>): Promise<void> {
    this.#describe = describe;
    const first = this.#beat(describe, this.#stopped.signal);
    this.#loop = first.then(() => this.#run(describe));
    await Promise.race([first, Bun.sleep(FIRST_ANSWER_PATIENCE_MS)]);
  }

  /** Ends the heartbeats and says that this supernode leaves. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#loop;
    if (this.#describe === null) return;
    const heartbeat = this.#heartbeat(await this.#describe());
    const signal = AbortSignal.timeout(LEAVE_TIMEOUT_MS);
    // Unheard, the lease runs out by itself.
    await this.#client.heartbeat({ ...heartbeat, isLeaving: true }, signal).catch(() => {});
  }

  async #run(describe: () => Promise<SupernodeState>): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      // Supernodes that started together shall not be heard together for ever.
      const jitter = 0.9 + 0.2 * Math.random();
      const pauseMs = 1_000 * this.#intervalSeconds * jitter;
      await this.#pause.wait(this.#outbox.isUrgent && !this.#isSilent ? 0 : pauseMs, signal);
      if (!signal.aborted) await this.#beat(describe, signal);
    }
  }

  async #beat(describe: () => Promise<SupernodeState>, signal: AbortSignal): Promise<void> {
    try {
      const heartbeat = this.#heartbeat(await describe());
      await this.#options.membership.renewIfDue(signal);
      const answer = await this.#client.heartbeat(heartbeat, signal);
      const { routesVersion } = this;
      // Every answer bears it, and nothing makes it smaller: so all else in this one is older too.
      if (answer.routesVersion < routesVersion) {
        throw olderAnswer("an answer", answer.routesVersion, routesVersion);
      }
      this.#outbox.heard(heartbeat);
      await this.#answered(answer);
      if (this.#isSilent) this.#options.onWarning("df config answers again");
      this.#isSilent = false;
    } catch (error) {
      if (signal.aborted) return;
      if (!isDfError(error)) throw error;
      // Said once: the same cause every few seconds would hide all else.
      if (!this.#isSilent) this.#options.onWarning(`${messageOf(error)}; going on as told last`);
      this.#isSilent = true;
    }
  }

  #heartbeat(state: SupernodeState): Heartbeat {
    const settingsVersion = this.settings?.version ?? 0;
    return { ...this.#options.self, ...state, ...this.#outbox.contents(), settingsVersion };
  }

  async #answered(answer: HeartbeatAnswer): Promise<void> {
    this.#intervalSeconds = answer.intervalSeconds;
    const { cluster, members, upstream, routesVersion, revoked } = answer;
    const settings = answer.settings ?? this.settings;
    const told = { cluster, members, upstream, routesVersion, settings, revoked };
    if (!Bun.deepEquals(told, this.#told)) {
      this.#take(told);
      // It counts all the same; only a restart while df config is silent would miss it.
      const kept = { ...told, fleetKey: this.#fleetKey };
      await this.#kept.write(kept).catch((error) => this.#options.onWarning(messageOf(error)));
    }
    for (const command of answer.commands) tell(this.#commandListeners, command);
  }

  /** Makes it what counts, then tells those whom the difference concerns. */
  #take(told: Told): void {
    const before = this.#told;
    this.#told = told;
    const { settings, routesVersion } = told;
    const placeOf = (told: Told | null): unknown[] => [
      told?.cluster,
      told?.members,
      told?.upstream,
    ];
    if (!Bun.deepEquals(placeOf(told), placeOf(before))) tell(this.#changeListeners, undefined);
    if (settings !== null && !Bun.deepEquals(settings, before?.settings)) {
      tell(this.#settingsListeners, settings);
    }
    if (!Bun.deepEquals(told.revoked, before?.revoked)) tell(this.#revokedListeners, this.revoked);
    if (routesVersion !== before?.routesVersion) tell(this.#routesListeners, routesVersion);
  }
}

function subscribe<Listener>(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell<News>(listeners: ReadonlySet<(news: News) => void>, news: News): void {
  for (const listener of listeners) listener(news);
}
