// The fleet's settings as `df config` keeps them: every version whole, the highest counts. Replicas
// share them through the database alone; each writer takes the next number, and of two one is told
// that it was too late.

import { z } from "zod";
import { DfError } from "../../../errors.ts";
import {
  heardSettingsSchema,
  mergeSettings,
  selectorSchema,
  type SettingsLayers,
} from "../../../net/wire/fleet-settings.ts";
import type { SettingsDocument } from "../../../net/wire/settings-api.ts";
import type { FleetDatabase } from "../../../store/fleet-database/fleet-database.ts";
import {
  findSettingsVersion,
  forgetSettingsVersions,
  insertSettingsVersion,
  latestSettingsVersion,
  type SettingsVersionRow,
} from "../../../store/fleet-database/settings-versions.ts";
import { layersFor, NO_SETTINGS } from "./settings-document.ts";

/** Versions kept to look at and to go back to. */
const VERSIONS_KEPT = 1_000;

/** For so long another replica's change may go unseen here: a supernode hears it a heartbeat later. */
const LOOK_INTERVAL_MS = 500;

/** Writers that come at once each try so often. */
const ATTEMPTS_MAX = 10;

/** Rows are what this program wrote; another version of it may have known other keys. */
const storedSettingsSchema = heardSettingsSchema.transform((heard) => mergeSettings({}, heard));
const storedSchema = z.object({
  fleet: storedSettingsSchema,
  clusters: z.record(z.string(), storedSettingsSchema),
  labels: z.array(z.object({ selector: selectorSchema, settings: storedSettingsSchema })),
});

export interface SettingsWriter {
  /** ID of the admin token. */
  author: string;
  comment: string;
  /** The version that the change was made for; null: whatever is the present one. */
  expected: number | null;
}

export class SettingsBook {
  readonly #database: FleetDatabase;
  #known: SettingsDocument = NO_SETTINGS;
  #lookedAtMs = -Infinity;
  #looking: Promise<SettingsDocument> | null = null;

  constructor(database: FleetDatabase) {
    this.#database = database;
  }

  /** The present version. */
  async current(): Promise<SettingsDocument> {
    const version = await latestSettingsVersion(this.#database);
    if (version !== this.#known.version) this.#known = await this.at(version);
    this.#lookedAtMs = performance.now();
    return this.#known;
  }

  /**
   * A version as it was.
   * @throws {DfError} not-found
   */
  async at(version: number): Promise<SettingsDocument> {
    if (version === 0) return NO_SETTINGS;
    const row = await findSettingsVersion(this.#database, version);
    if (row !== undefined) return documentOf(row);
    throw new DfError("not-found", `find version ${version} of the settings: there is none`, {
      hint: `the last ${VERSIONS_KEPT} are kept`,
    });
  }

  /**
   * What a supernode of a cluster is to be told; null: what it knows. Asked with every heartbeat, so
   * the database is looked at now and then only.
   */
  async layersFor(cluster: string, knownVersion: number): Promise<SettingsLayers | null> {
    const isRecent = performance.now() - this.#lookedAtMs < LOOK_INTERVAL_MS;
    this.#looking ??= isRecent
      ? null
      : this.current().finally(() => {
          this.#looking = null;
        });
    const document = (await this.#looking) ?? this.#known;
    // Also an older one: a backup was restored.
    return document.version === knownVersion ? null : layersFor(document, cluster);
  }

  /**
   * Makes a new version of what `change` returns for the present one; the same settings make none.
   * @throws {DfError} outdated, conflict (too many writers at once), or what `change` throws
   */
  async write(
    { author, comment, expected }: SettingsWriter,
    change: (present: SettingsDocument) => SettingsDocument,
  ): Promise<SettingsDocument> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const present = await this.current();
      if (expected !== null && expected !== present.version) throw outdated(expected, present);
      const next = { ...change(present), version: present.version + 1 };
      if (Bun.deepEquals({ ...next, version: 0 }, { ...present, version: 0 })) return present;
      const { version, ...layers } = next;
      const row = { version, author, comment, createdAt: Date.now(), layers };
      if (!(await insertSettingsVersion(this.#database, row))) continue;
      this.#known = next;
      await forgetSettingsVersions(this.#database, version - VERSIONS_KEPT + 1);
      return next;
    }
    throw new DfError("conflict", "set the fleet's settings: others change them all the time", {
      hint: "try again in a moment",
    });
  }
}

export function documentOf({ version, layers }: SettingsVersionRow): SettingsDocument {
  const stored = storedSchema.safeParse(layers);
  if (stored.success) return { version, ...stored.data };
  throw new DfError("internal", `read version ${version} of the settings from the database`, {
    cause: stored.error,
  });
}

function outdated(expected: number, { version }: SettingsDocument): DfError {
  return new DfError(
    "outdated",
    `set the fleet's settings: ${version} is current, not ${expected}`,
    {
      hint: "read them again, look at what changed, and repeat the change",
    },
  );
}
