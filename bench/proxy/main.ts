// npm run bench:proxy: what the proxy's port costs a download: curl through it against curl without it, in
// turn, unshaped loopback, source and peer in processes of their own. The source has no limit but the CPU,
// which all share: ratios say how much slower a path is that was never the network's.

import { join } from "node:path";
import { parseArgs } from "node:util";
import { certificateAuthority } from "../../test/fixtures/certificate-authority.ts";
import { DF } from "../harness/df-roles.ts";
import { freePortPair } from "../harness/free-port.ts";
import { provenance } from "../harness/machine.ts";
import { linesOf } from "../harness/lines-of.ts";
import { processUsage } from "../harness/process-usage.ts";
import { run, Session, waitUntil } from "../harness/session.ts";
import { median, pairedRatios, rounded, summarize } from "../harness/statistics.ts";
import { parseSize } from "../harness/units.ts";

/** One way through the proxy, and the one without it that it is compared with. */
interface Way {
  name: string;
  direct: string[];
  proxied: string[];
}

const { values } = parseArgs({
  options: {
    size: { type: "string", default: "256MiB" },
    pairs: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
  },
});
const length = parseSize(values.size);

await Session.run("proxy", async (session) => {
  const path = (name: string): string => join(session.folder, name);
  const authority = await certificateAuthority();
  const { cert, key } = await authority.issue({ names: ["localhost", "127.0.0.1"] });
  await Bun.write(path("ca.pem"), authority.ca);
  await Bun.write(path("cert.pem"), cert);
  await Bun.write(path("key.pem"), key);
  const [plain, secure] = await startSource(
    [path("cert.pem"), path("key.pem"), String(length)],
    session,
  );
  const port = await freePortPair();
  const peer = session.start(
    [
      ...[DF, "peer", "--data-dir", path("peer"), "--socket", path("peer.sock")],
      ...["--listen", `127.0.0.1:${port}`, "--proxy-listen", `127.0.0.1:${port + 1}`],
      ...["--source-ca", path("ca.pem"), "--proxy-intercept", `localhost:${secure}`],
      ...["--proxy-allow", `localhost,127.0.0.1,127.0.0.1:${secure},localhost:${secure}`],
      ...["--proxy-rule", `127.0.0.1:${plain}/swarm/=swarm`],
    ],
    { logPath: path("peer.log") },
  );
  const proxy = `http://127.0.0.1:${port + 1}`;
  await waitUntil("the proxy answers", async () => {
    const answer = await fetch(`${proxy}/livez`).catch(() => null);
    return answer?.ok === true;
  });
  const ca = (await run([DF, "ca", "path", "--data-dir", path("peer")])).trim();
  const trust = ["--cacert", path("ca.pem")];
  const http = `http://127.0.0.1:${plain}`;
  const through = ["--proxy", proxy];
  const ways: Way[] = [
    { name: "forwarded", direct: [`${http}/a`], proxied: [...through, `${http}/a`] },
    { name: "swarm, held", direct: [`${http}/a`], proxied: [...through, `${http}/swarm/a`] },
    {
      name: "tunnel",
      direct: [...trust, `https://127.0.0.1:${secure}/a`],
      proxied: [...trust, ...through, `https://127.0.0.1:${secure}/a`],
    },
    {
      name: "opened",
      direct: [...trust, `https://localhost:${secure}/a`],
      proxied: ["--cacert", ca, ...through, `https://localhost:${secure}/a`],
    },
  ];
  const results = [];
  for (const way of ways) results.push(await compare(way, peer.pid));
  report(results);
});

async function startSource(args: string[], session: Session): Promise<[number, number]> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "source.ts"), ...args], {
    ...{ stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  });
  session.defer(async () => {
    child.kill();
    await child.exited;
  });
  for await (const line of linesOf(child.stdout)) return JSON.parse(line) as [number, number];
  throw new Error("the source ended");
}

async function compare({ name, direct, proxied }: Way, pid: number) {
  // Warm: certificates made, what the swarm is to hold brought.
  await seconds(proxied);
  await seconds(direct);
  const times: { direct: number[]; proxied: number[] } = { direct: [], proxied: [] };
  const before = processUsage(pid)?.cpuSeconds ?? 0;
  for (let pair = 0; pair < Number(values.pairs); pair++) {
    // Who is first changes: what drifts hits both.
    if (pair % 2 === 0) times.direct.push(await seconds(direct));
    times.proxied.push(await seconds(proxied));
    if (pair % 2 === 1) times.direct.push(await seconds(direct));
  }
  const cpuSeconds = (processUsage(pid)?.cpuSeconds ?? 0) - before;
  return {
    ...{ name, ratio: rounded(median(pairedRatios(times.proxied, times.direct))) },
    directMbPerSec: summarize(times.direct.map((time) => rounded(length / 1e6 / time, 0))),
    proxiedMbPerSec: summarize(times.proxied.map((time) => rounded(length / 1e6 / time, 0))),
    cpuSecondsPerGib: rounded((cpuSeconds / Number(values.pairs)) * ((1 << 30) / length), 2),
  };
}

async function seconds(args: string[]): Promise<number> {
  const format = "%{time_total} %{size_download} %{http_code}";
  const own = ["-s", "--noproxy", "", "-o", "/dev/null", "-w", format];
  const output = await run(["curl", ...own, ...args]);
  const [time, size, status] = output.split(" ").map(Number);
  if (size !== length || status !== 200) throw new Error(`curl ${args.join(" ")}: ${output}`);
  return time!;
}

function report(results: Awaited<ReturnType<typeof compare>>[]): void {
  const from = provenance("bench:proxy");
  if (values.json) return console.log(JSON.stringify({ ...from, length, results }, null, 2));
  console.log(
    `${JSON.stringify(from)}\n${values.size}, ${values.pairs} pairs, time through the proxy over without:`,
  );
  for (const { name, ratio, directMbPerSec, proxiedMbPerSec, cpuSecondsPerGib } of results) {
    const speeds = `${proxiedMbPerSec.median} and ${directMbPerSec.median} MB/s`;
    console.log(`  ${name.padEnd(12)} ${ratio}  (${speeds}; peer ${cpuSecondsPerGib} CPU s/GiB)`);
  }
}
