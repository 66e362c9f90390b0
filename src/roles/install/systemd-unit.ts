// The text of a service's systemd unit: everything closed that the role does not need.
//
// Left open on purpose: writable and executable memory (JavaScriptCore compiles at run time), netlink
// (the runtime lists the host's addresses by it), /proc/pressure and /proc/net (flow control reads
// them, so no ProcSubset=pid).

import type { ServiceRole } from "./service-role.ts";

export interface UnitOptions {
  role: ServiceRole;
  /** Absolute path of the executable. */
  binary: string;
  user: string;
  /** Absolute path of the file with the join string; null: none. */
  joinFile: string | null;
}

/** The runtime would take orders from these variables; nobody sets them for a service by accident. */
const SCRUBBED =
  "BUN_OPTIONS BUN_BE_BUN BUN_INSPECT BUN_INSPECT_CONNECT_TO BUN_INSPECT_NOTIFY BUN_CONFIG_VERBOSE_FETCH " +
  "BUN_INSTALL NODE_OPTIONS NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED LD_PRELOAD";

/** What nothing of ours needs is closed. */
const HARDENING = [
  "NoNewPrivileges=yes",
  "CapabilityBoundingSet=",
  "AmbientCapabilities=",
  "ProtectSystem=strict",
  "ProtectHome=yes",
  "PrivateTmp=yes",
  "PrivateDevices=yes",
  "PrivateUsers=yes",
  "PrivateIPC=yes",
  "ProtectHostname=yes",
  "ProtectClock=yes",
  "ProtectKernelTunables=yes",
  "ProtectKernelModules=yes",
  "ProtectKernelLogs=yes",
  "ProtectControlGroups=yes",
  "ProtectProc=invisible",
  "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
  "RestrictNamespaces=yes",
  "RestrictRealtime=yes",
  "RestrictSUIDSGID=yes",
  "RemoveIPC=yes",
  "LockPersonality=yes",
  "SystemCallArchitectures=native",
  "SystemCallFilter=@system-service",
  "SystemCallFilter=~@privileged @resources @obsolete",
  "SystemCallErrorNumber=EPERM",
  "DevicePolicy=closed",
  "KeyringMode=private",
  "# Cloud metadata services hold credentials, never files to distribute.",
  "IPAddressDeny=169.254.169.254/32 fd00:ec2::254/128",
];

/** Both folders, or systemd makes the outer one with this UMask for root alone. */
function stateLines(role: string): string[] {
  return [`StateDirectory=dragonfly dragonfly/${role}`, "StateDirectoryMode=0700"];
}

export function systemdUnit({ role, binary, user, joinFile }: UnitOptions): string {
  const joinLines =
    joinFile === null
      ? []
      : [`LoadCredential=join:${joinFile}`, "Environment=DRAGONFLY_JOIN=@%d/join"];
  return [
    "[Unit]",
    `Description=${role.description}`,
    "Wants=network-online.target",
    "After=network-online.target",
    "StartLimitIntervalSec=60",
    "StartLimitBurst=5",
    "",
    "[Service]",
    ...(role.notifies ? ["Type=notify", "NotifyAccess=main", "WatchdogSec=60s"] : ["Type=exec"]),
    `ExecStart=${binary} ${role.name} ${role.arguments(user).join(" ")}`,
    "ExecReload=/bin/kill -HUP $MAINPID",
    "Restart=on-failure",
    "RestartSec=2s",
    "TimeoutStopSec=30s",
    `User=${user}`,
    `Group=${user}`,
    ...(role.keepsState ? stateLines(role.name) : []),
    ...role.lines,
    ...joinLines,
    `UnsetEnvironment=${SCRUBBED}`,
    "UMask=0077",
    "LimitNOFILE=1048576",
    "LimitCORE=0",
    "TasksMax=4096",
    "",
    ...HARDENING,
    "",
    "[Install]",
    "WantedBy=multi-user.target",
    "",
  ].join("\n");
}
