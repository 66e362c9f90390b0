// Baseline: every host reads the file from one web server behind the seed's link.

import { join } from "node:path";
import { verifyOutputs, type Contender } from "./contender.ts";
import { on } from "./network.ts";
import { startNginx } from "./nginx.ts";

export const curl: Contender = {
  name: "curl",
  async run(session, fleet, payload) {
    const server = await startNginx(session, {
      host: fleet.seed,
      root: payload.root,
      name: "curl-server",
    });

    const startedAt = performance.now();
    const outputs = fleet.hosts.map((_, i) => join(session.folder, `curl-${i}`));
    const finishSeconds = await Promise.all(
      fleet.hosts.map(async (host, i) => {
        const command = ["curl", "-sSf", "-o", outputs[i]!, server.url(payload.name)];
        const child = session.start(on(host, command));
        if ((await child.exited) !== 0) throw new Error(`curl on ${host.address} failed`);
        return (performance.now() - startedAt) / 1000;
      }),
    );
    await verifyOutputs(outputs, payload);
    return { finishSeconds, source: await server.counts() };
  },
};
