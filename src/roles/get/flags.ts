// Every flag of `df get`: ours, those that wget and curl users type without thinking, and those of
// the old dfget. A flag without help is accepted and not listed.

import { SOURCE_PROXY_FLAG } from "../command-line/egress-flags.ts";
import { CONFIG_SERVICE_FLAG, JOIN_FLAG } from "../command-line/fleet-flags.ts";
import type { Flag } from "../command-line/flags.ts";

export const FLAGS: readonly Flag[] = [
  // What, and where to.
  { name: "url", aliases: ["u"], value: "URL" },
  {
    name: "input-file",
    aliases: ["i"],
    value: "LIST",
    help: "read URLs from a file, one a line; - is stdin",
  },
  {
    name: "output",
    aliases: ["o", "O", "output-document"],
    value: "FILE",
    help: "write to this file; - is stdout (default: the URL's last part)",
  },
  { name: "remote-name" },
  {
    name: "dir",
    aliases: ["d", "P", "directory-prefix"],
    value: "DIR",
    help: "write into this folder",
  },
  {
    name: "continue",
    aliases: ["c"],
    isNegatable: true,
    help: "go on with an unfinished output (default)",
  },
  { name: "no-clobber", aliases: ["nc"], help: "leave an output that exists as it is" },
  { name: "overwrite", aliases: ["allow-overwrite"] },
  { name: "max-filesize", value: "SIZE", help: "refuse files that are larger" },

  // What is asked of the source.
  {
    name: "header",
    aliases: ["H"],
    value: "'K: V'",
    help: "send a header; @FILE reads them from a file",
  },
  {
    name: "header-public",
    value: "NAME",
    help: "this header is no secret: its value may name the task",
  },
  {
    name: "user",
    value: "USER:PASSWORD",
    help: "basic authentication; @FILE reads it from a file",
  },
  { name: "user-agent", aliases: ["A"], value: "TEXT", help: "send this User-Agent" },
  { name: "referer", value: "URL" },
  {
    name: "timeout",
    aliases: ["T"],
    value: "TIME",
    help: "give up when nothing arrives for so long (default 60s)",
  },
  {
    name: "max-time",
    aliases: ["e", "exceed"],
    value: "TIME",
    help: "give up after so long in all",
  },
  { name: "connect-timeout", value: "TIME", help: "time to reach the source (default 3s)" },
  {
    name: "tries",
    aliases: ["t", "retry"],
    value: "N",
    help: "attempts while an error may pass (default 6)",
  },
  {
    name: "cacert",
    aliases: ["ca-certificate", "cacerts"],
    value: "FILE",
    help: "trust these certificates (PEM) of the source",
  },
  {
    name: "insecure",
    aliases: ["k", "no-check-certificate"],
    help: "do not verify the source's certificate",
  },
  {
    ...SOURCE_PROXY_FLAG,
    help: "read the source through a proxy (also http_proxy, https_proxy, no_proxy); @FILE; repeatable",
  },
  { name: "proxy", isNegatable: true, help: "use the environment's proxies (default)" },

  // What must hold.
  {
    name: "checksum",
    aliases: ["digest"],
    value: "ALG:HEX",
    help: "the file must have this digest (sha256, md5)",
  },
  { name: "md5", aliases: ["m"], value: "HEX", help: "the file must have this MD5" },
  { name: "sha256", value: "HEX", help: "the file must have this SHA-256" },

  // Where bytes come from.
  {
    name: "supernode",
    variable: "DRAGONFLY_SUPERNODE",
    aliases: ["n", "node"],
    value: "HOST:PORT,…",
    help: "supernodes to join (also DRAGONFLY_SUPERNODE)",
  },
  CONFIG_SERVICE_FLAG,
  JOIN_FLAG,
  {
    name: "source",
    aliases: ["p", "pattern"],
    value: "p2p|supernode|origin",
    help: "where bytes may come from (default p2p)",
  },
  {
    name: "no-origin",
    aliases: ["notbs", "notbacksource", "disable-back-to-source"],
    help: "never read the source from this host",
  },
  {
    name: "tag",
    aliases: ["identifier"],
    value: "TEXT",
    help: "keep this task apart from others with its URL",
  },
  {
    name: "encrypt",
    help: "seal the pieces of a public URL too, on every wire and disk of the swarm",
  },
  {
    name: "filter-query",
    aliases: ["f", "filter", "filtered-query-param"],
    value: "NAME,…",
    help: "query parameters that do not change the bytes",
  },
  {
    name: "socket",
    variable: "DRAGONFLY_PEER_SOCKET",
    value: "PATH",
    help: "local API of the peer to use",
  },
  { name: "no-daemon", help: "run without a background peer" },
  {
    name: "linger",
    value: "TIME",
    help: "how long a background peer outlives its last use (default 5m)",
  },
  {
    name: "limit-rate",
    aliases: ["locallimit", "max-download-limit"],
    value: "RATE",
    help: "bytes per second: 20M, 20MB, 200Mbps",
  },
  { name: "totallimit", value: "RATE" },

  // What is shown.
  { name: "json", help: "one JSON object per line on stdout, the last one tells the result" },
  { name: "progress", value: "auto|bar|plain|none", help: "how progress is shown on stderr" },
  { name: "quiet", aliases: ["q", "s", "silent"], help: "show errors only" },
  { name: "verbose", aliases: ["v"], help: "show what is decided on the way" },
  { name: "no-verbose", aliases: ["nv"] },

  // Accepted because fingers and scripts type them; they change nothing here.
  { name: "location", aliases: ["L"] },
  { name: "fail" },
  { name: "show-progress" },
  { name: "showbar", aliases: ["b", "#"] },
  { name: "console" },
  { name: "dfdaemon" },
  { name: "callsystem", value: "NAME" },
  { name: "minrate", value: "RATE" },
  { name: "clientqueue", value: "N" },
  { name: "home", value: "DIR" },
  { name: "ip", value: "IP" },
  { name: "port", value: "PORT" },
  { name: "expiretime", value: "TIME" },
  { name: "alivetime", value: "TIME" },
];
