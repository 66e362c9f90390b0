// A web server for the payload, and what its own log says was taken from it.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { waitUntil, type Session } from "../harness/session.ts";
import { on, type Host } from "./network.ts";

export const NGINX_PORT = 8080;

export interface SourceCounts {
  /** Body bytes that the server handed out. */
  bodyBytes: number;
  requests: number;
  /** Requests without a body: HEAD, 304, errors. */
  probes: number;
}

export interface Nginx {
  url: (name: string) => string;
  counts: () => Promise<SourceCounts>;
}

export interface NginxOptions {
  /** Null: loopback. */
  host: Host | null;
  root: string;
  name: string;
  port?: number;
  /** Directives of the server, e.g. locations. @defaultValue none: files of `root` as they are */
  directives?: string;
}

/** Serves `root`. */
export async function startNginx(session: Session, options: NginxOptions): Promise<Nginx> {
  const folder = join(session.folder, options.name);
  await mkdir(folder, { recursive: true });
  const port = options.port ?? NGINX_PORT;
  const address = options.host?.address ?? "127.0.0.1";
  const config = join(folder, "nginx.conf");
  const { root, directives = "" } = options;
  await writeFile(config, configuration(folder, `${address}:${port}`, { root, directives }));

  const command = ["nginx", "-p", folder, "-c", config, "-g", "daemon off;"];
  const child = session.start(options.host === null ? command : on(options.host, command));
  await waitUntil("start nginx", () => {
    if (child.exitCode !== null)
      throw new Error(`nginx ended with ${child.exitCode}: see ${folder}`);
    return Bun.file(join(folder, "pid")).exists();
  });
  return {
    url: (name) => `http://${address}:${port}/${name}`,
    counts: async () => readLog(await Bun.file(join(folder, "access.log")).text()),
  };
}

function configuration(
  folder: string,
  listen: string,
  { root, directives }: { root: string; directives: string },
): string {
  return `
user root;
worker_processes 1;
error_log ${folder}/error.log;
pid ${folder}/pid;
events { worker_connections 4096; }
http {
  log_format counted '$request_method $status $body_bytes_sent';
  access_log ${folder}/access.log counted;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 60s;
  server { listen ${listen} backlog=4096; root ${root}; ${directives} }
}
`;
}

function readLog(text: string): SourceCounts {
  const counts = { bodyBytes: 0, requests: 0, probes: 0 };
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const [method, status, bytes] = line.split(" ");
    const hasBody = method === "GET" && (status === "200" || status === "206");
    counts.requests++;
    if (hasBody) counts.bodyBytes += Number(bytes);
    else counts.probes++;
  }
  return counts;
}
