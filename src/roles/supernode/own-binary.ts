// The executable itself, for hosts that have none yet, with its checksum:
//
//   curl -O http://SUPERNODE:8002/df && curl -s http://SUPERNODE:8002/df.sha256 | sha256sum -c
//
// and over TLS, where its name is not its address:
//
//   curl --cacert ca.pem --connect-to ::SUPERNODE:8002 -O https://supernode.df/df

import { stat } from "node:fs/promises";
import { Hono } from "hono";

/** Nothing where the role runs from its sources: what runs then is not ours to give. */
export function ownBinaryRoutes(): Hono {
  const app = new Hono();
  if (!Bun.isStandaloneExecutable) return app;
  /** Of the file as it was then: an upgrade replaces it while this process runs on. */
  let known = { stamp: "", sha256: "" };
  const headers = { "content-disposition": 'attachment; filename="df"' };
  app.get("/df", () => new Response(Bun.file(process.execPath), { headers }));
  app.get("/df.sha256", async (context) => {
    const { size, mtimeMs } = await stat(process.execPath);
    const stamp = `${size} ${mtimeMs}`;
    if (known.stamp !== stamp) known = { stamp, sha256: await sha256Of(process.execPath) };
    return context.text(`${known.sha256}  df\n`);
  });
  return app;
}

async function sha256Of(path: string): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of Bun.file(path).stream()) hasher.update(chunk);
  return hasher.digest("hex");
}
