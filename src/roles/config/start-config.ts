// `df config`: wires database, keys, view, leases and the HTTP application together. Reads like a
// wiring diagram; the work is done in the parts.

import { hostname } from "node:os";
import { join } from "node:path";
import { version } from "../../../package.json";
import type { Secret } from "../../engine/bytes/secret.ts";
import { DfError, messageOf } from "../../errors.ts";
import { CredentialCheck } from "../../net/fleet/credential.ts";
import { CONFIG_TLS_NAME } from "../../net/wire/fleet-api.ts";
import { databaseError, type FleetDatabase } from "../../store/fleet-database/fleet-database.ts";
import { raiseRoutesVersion } from "../../store/fleet-database/fleet-row.ts";
import { openFleetDatabase } from "../../store/fleet-database/open-fleet-database.ts";
import { claimStateDir } from "../../store/state-dir.ts";
import type { TlsMode } from "../command-line/tls-mode.ts";
import { healthRoutes } from "../service/health-routes.ts";
import { createMetrics } from "../service/metrics.ts";
import { formatAddress, isLoopback, type ListenAddress } from "../command-line/listen-address.ts";
import type { Openings } from "./access.ts";
import { Callers } from "./callers.ts";
import { createConfigApp, type Resource } from "./config-app.ts";
import { caPath, ownUrlPath } from "./config-dir.ts";
import type { ConfigParts } from "./config-parts.ts";
import { listenForFleet, type Transport, transportOf } from "./config-server.ts";
import { docsResource } from "./docs-page.ts";
import { type FirstStart, makeFirstTokens } from "./first-start.ts";
import { FleetAuthority } from "./fleet-authority.ts";
import { loadFleetKeys } from "./fleet-keys.ts";
import { FleetView } from "./fleet-view.ts";
import { HostRegistrations } from "./host-registrations.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import { caResource } from "./machines/ca.ts";
import { heartbeatResource } from "./machines/heartbeat.ts";
import { joinResource } from "./machines/join.ts";
import { routesResource } from "./machines/routes.ts";
import { clustersResource } from "./resources/clusters.ts";
import { hostsResource } from "./resources/hosts.ts";
import { rulesResource } from "./resources/rules.ts";
import { supernodesResource } from "./resources/supernodes.ts";
import { tokensResource } from "./resources/tokens.ts";
import { openPreheats } from "./preheats/open-preheats.ts";
import { RouteWaits } from "./route-waits.ts";
import { writeSecretFile } from "./secret-file.ts";
import { SettingsBook } from "./settings/settings-book.ts";
import { settingsPart } from "./settings/settings-part.ts";
import { settingsResource } from "./settings/settings-routes.ts";

export interface ConfigOptions {
  listen: ListenAddress;
  /** Keeps the database (SQLite), the keys and the first tokens; one process at a time. */
  dataDir: string;
  /** `postgres://…`; null: SQLite in the data directory. */
  databaseUrl: Secret<string> | null;
  /** @defaultValue keys.json in the data directory */
  keysPath: string | null;
  /** Whether hosts may join and ask for routes without a token. */
  isOpen: boolean;
  /** Whether programs of this machine order preheats as Harbor does without a token. @defaultValue false */
  isPreheatOpen?: boolean;
  leaseMs: number;
  intervalMs: number;
  /** Where machines reach the fleet's replicas; empty: where this one listens. */
  urls: readonly string[];
  /** @defaultValue "auto": where others than this machine can reach it */
  tls?: TlsMode;
  /** PEM certificates of private CAs that registries of images have theirs from. */
  sourceCa?: string | undefined;
  /** Where registries are reached, by "host[:port]": origins. @defaultValue where their names say */
  registryUpstreams?: Readonly<Record<string, string>>;
  /** Makes another admin token: the first was lost. */
  isAdminTokenWanted: boolean;
  onWarning: (message: string) => void;
  /** Hears what administrators change. */
  onChange?: (message: string) => void;
}

export interface RunningConfig {
  /** "host:port". */
  readonly address: string;
  /** Where machines reach it. */
  readonly urls: readonly string[];
  readonly firstStart: FirstStart;
  /** Raw Ed25519, base64. */
  readonly fleetKey: string;
  /** The file with the CA that its certificate is of; null: it speaks plain HTTP. */
  readonly caPath: string | null;
  /** Lets held requests go and writes what waits. */
  stop(): Promise<void>;
}

/** @throws {DfError} usage, denied, unavailable, file-unwritable */
export async function startConfig(options: ConfigOptions): Promise<RunningConfig> {
  const undo = new AsyncDisposableStack();
  try {
    const releaseDir = claimStateDir(options.dataDir);
    undo.defer(() => releaseDir());
    const database = await openFleetDatabase({
      dataDir: options.dataDir,
      url: options.databaseUrl?.reveal() ?? null,
    });
    undo.defer(() => database.close());
    return await startWith(database, options, undo);
  } catch (error) {
    await undo.disposeAsync();
    throw databaseError(error) ?? error;
  }
}

async function startWith(
  database: FleetDatabase,
  options: ConfigOptions,
  undo: AsyncDisposableStack,
): Promise<RunningConfig> {
  const { dataDir, leaseMs, intervalMs, onWarning } = options;
  // A power loss may forget changes that hosts heard of (open-sqlite.ts), and so does a copy of the database
  // that is brought back: their versions never come again, and machines believe no smaller one.
  await raiseRoutesVersion(database, Date.now());
  const transport = transportOf(options);
  const { isProxied } = transport;
  if (transport.warning !== null) onWarning(transport.warning);
  const keys = await loadFleetKeys(options.keysPath ?? keysPathIn(dataDir), database);
  const authority = new FleetAuthority(keys);
  const credentials = new CredentialCheck(keys.publicKey);
  const waits = new RouteWaits();
  const view = new FleetView(database, {
    routesChanged: () => waits.release(),
    revocationsChanged: (ids) => credentials.revoke(new Set(ids)),
  });
  const hosts = new HostRegistrations(database);
  const leases = new LeaseKeeper({ database, view, hosts, leaseMs, onWarning });
  undo.defer(() => leases.stop());
  await leases.start();
  const settings = new SettingsBook(database);
  const preheats = openPreheats({ ...options, database, keys, settings, transport });
  undo.defer(() => preheats.stop());
  let urls = options.urls;
  let firstStart: FirstStart | null = null;
  const parts: ConfigParts = {
    ...{ database, keys, authority, view, waits, hosts, leases },
    leaseSeconds: leaseMs / 1000,
    intervalSeconds: intervalMs / 1000,
    places: () => ({ urls: [...urls], isProxied }),
    heartbeatParts: [settingsPart(settings), preheats.heartbeatPart],
  };
  const app = createConfigApp({
    database,
    callers: new Callers(database, credentials),
    ...openingsOf(options, transport),
    onChange: options.onChange,
    ownNames: () =>
      new Set([hostname(), CONFIG_TLS_NAME, ...urls.map((url) => new URL(url).hostname)]),
    resources: [
      serviceResource(parts, () => firstStart !== null),
      ...fleetResources(parts),
      settingsResource({ database, book: settings }),
      ...preheats.resources,
    ],
    onError: (error, route) => onWarning(`${route}: ${describeFailure(error)}`),
  });
  const server = await listenForFleet({ ...options, app, authority, ...transport });
  // What is held is answered, what is under way is finished.
  undo.defer(() => server.stop());
  undo.defer(() => waits.stop());
  ({ urls } = server);
  preheats.listensOn([{ hostname: options.listen.hostname, port: server.port }]);
  const { isAdminTokenWanted } = options;
  const fleetKey = keys.publicKey;
  const place = { ...parts.places(), fleetKey };
  firstStart = await makeFirstTokens({ database, dataDir, place, isAdminTokenWanted });
  await leaveForTools(dataDir, { ca: authority.caAnswer.ca, url: server.ownUrl });
  return {
    address: formatAddress(options.listen.hostname, server.port),
    caPath: transport.isTls ? caPath(dataDir) : null,
    ...{ urls, fleetKey, firstStart },
    stop: () => undo.disposeAsync(),
  };
}

/** @throws {DfError} usage: others than this machine would be let in */
function openingsOf(
  { isOpen, isPreheatOpen = false, listen }: ConfigOptions,
  { isProxied }: Transport,
): Openings {
  if (!isPreheatOpen || (isLoopback(listen.hostname) && !isProxied))
    return { isOpen, isPreheatOpen };
  throw new DfError("usage", "let preheats be ordered without a token: others reach this service", {
    hint: "leave --preheat-open away and give Harbor a token with the role operator, or listen on 127.0.0.1",
  });
}

function fleetResources(parts: ConfigParts): Resource[] {
  return [
    docsResource,
    caResource(parts),
    joinResource(parts),
    heartbeatResource(parts),
    routesResource(parts),
    clustersResource(parts),
    rulesResource(parts),
    supernodesResource(parts),
    hostsResource(parts),
    tokensResource(parts),
  ];
}

/** What tools of administrators on this machine know the service by: they have no join string. */
async function leaveForTools(
  dataDir: string,
  { ca, url }: { ca: string; url: string },
): Promise<void> {
  await writeSecretFile(caPath(dataDir), ca);
  await writeSecretFile(ownUrlPath(dataDir), url);
}

/** Where the keys lie if nobody names a file. */
export function keysPathIn(dataDir: string): string {
  return join(dataDir, "keys.json");
}

/** What every service answers, and this role's metrics. */
function serviceResource(
  { view, waits, leases }: ConfigParts,
  hasStarted: () => boolean,
): Resource {
  const metrics = createMetrics({ name: "config", version }, [
    {
      name: "config_supernodes_alive",
      help: "supernodes that are in lists of hosts",
      read: () => view.alive.length,
    },
    {
      name: "config_requests_held",
      help: "requests of hosts that wait for other supernodes",
      read: () => waits.count,
    },
  ]);
  const notReadyBecause = (): string | null => {
    if (!hasStarted()) return "starting";
    return leases.isDatabaseAway ? "the database does not answer" : null;
  };
  return (app) => {
    app.route("/", healthRoutes({ notReadyBecause, metrics }));
  };
}

/** With the causes, each said once: the log is where they are told. */
function describeFailure(error: unknown): string {
  const texts: string[] = [];
  for (let at = error, depth = 0; at !== undefined && depth < 5; depth++) {
    const text = messageOf(at);
    // Who wraps an error mostly ends his message with that of it.
    if (!texts.some((told) => told.endsWith(text))) texts.push(text);
    at = at instanceof Error ? at.cause : undefined;
  }
  return texts.join(": ");
}
