// What differs between the units of the services.

import type { Flag } from "../command-line/flags.ts";

export interface ServiceRole {
  name: "config" | "supernode" | "peer" | "relay";
  description: string;
  /** Whether it tells systemd how it is; see service/notify-systemd.ts. */
  notifies: boolean;
  /** Whether it keeps anything in /var/lib/dragonfly. */
  keepsState: boolean;
  /** Arguments after the role's name; systemd expands %S (state), %t (run) and %d (credentials). */
  arguments: (user: string) => readonly string[];
  /** Lines of the unit's [Service] that only this role has. */
  lines: readonly string[];
  /** What its settings file begins with, as comments: the keys that are set first. */
  settingsHints: readonly string[];
  /** What its settings file may set; loads the role. */
  flags: () => Promise<readonly Flag[]>;
  /** What another service has to know of this one. @defaultValue nothing */
  dropIn?: { role: "peer"; name: string; lines: readonly string[] };
}

/** In the peer's runtime directory: systemd removes it when the peer stops. */
const PROXY_SOCKET = "%t/dragonfly/proxy.sock";

export const SERVICE_ROLES: readonly ServiceRole[] = [
  {
    name: "config",
    description: "Dragonfly config service",
    notifies: true,
    keepsState: true,
    arguments: () => ["--data-dir", "%S/dragonfly/config"],
    lines: [],
    settingsHints: [
      "listen: 0.0.0.0:8000",
      `database: "@/var/lib/dragonfly/config/database"  # its URL, a secret; for several replicas`,
    ],
    flags: async () => (await import("../config/command.ts")).FLAGS,
  },
  {
    name: "supernode",
    description: "Dragonfly supernode",
    notifies: true,
    keepsState: true,
    arguments: () => ["--data-dir", "%S/dragonfly/supernode"],
    lines: [],
    settingsHints: ["listen: 0.0.0.0:8002", "quota: 500G", "source-rate: 200M"],
    flags: async () => (await import("../supernode/command.ts")).FLAGS,
  },
  {
    name: "peer",
    description: "Dragonfly peer",
    notifies: true,
    keepsState: true,
    arguments: (user) => [
      ...["--data-dir", "%S/dragonfly/peer"],
      ...["--socket", "%t/dragonfly/peer.sock", "--socket-group", user],
      ...["--metrics-listen", "127.0.0.1:65003"],
    ],
    lines: [
      "RuntimeDirectory=dragonfly",
      "RuntimeDirectoryMode=0755",
      "# The host's own business comes first.",
      "CPUWeight=50",
      "IOWeight=50",
    ],
    settingsHints: ["listen: 0.0.0.0:65002", "quota: 200G", "upload-rate: 50M"],
    flags: async () => (await import("../peer/command.ts")).FLAGS,
  },
  {
    name: "relay",
    description: "Dragonfly relay of container engines",
    notifies: false,
    keepsState: false,
    arguments: () => ["--socket", PROXY_SOCKET],
    lines: ["CPUWeight=50"],
    settingsHints: [
      "listen: 127.0.0.1:65001",
      "registry-upstream: registry.example:5443=https://registry.example:5443",
    ],
    flags: async () => (await import("../relay/command.ts")).FLAGS,
    dropIn: {
      role: "peer",
      name: "50-relay.conf",
      lines: [
        "# The relay has the port of container engines, and hands over what comes there.",
        "[Service]",
        `Environment=DRAGONFLY_PROXY_LISTEN=unix:${PROXY_SOCKET}`,
      ],
    },
  },
];
