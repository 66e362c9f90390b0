// npm run demo: the main job on one machine, without root: a source, a fleet (df up) and five more
// peers that join it; every peer downloads the same file at once, and what was promised is checked.

import { join } from "node:path";
import { pieceCountOf, pieceLengthFor } from "../src/engine/core/piece-layout.ts";
import {
  CountingSource,
  randomPayload,
  sha256Hex,
  sha256HexOfFile,
} from "./harness/counting-source.ts";
import { DF, startFleet, startPeer, type RunningPeer } from "./harness/df-roles.ts";
import { freePortPair } from "./harness/free-port.ts";
import { peerStatus } from "./harness/local-api-client.ts";
import { provenance } from "./harness/machine.ts";
import { Session } from "./harness/session.ts";
import { megabytes } from "./harness/units.ts";

const PEER_COUNT = 6;
const FILE_BYTES = 128_000_000;
/** A supernode that could serve all peers at once would leave them little to give each other. */
const SUPERNODE_RATE = "40M";

const violations: string[] = [];

function check(isTrue: boolean, promise: string, found: string): void {
  console.log(`  ${isTrue ? "ok  " : "FAIL"} ${promise}: ${found}`);
  if (!isTrue) violations.push(promise);
}

async function getThrough(
  session: Session,
  peer: RunningPeer,
  url: string,
  output: string,
): Promise<number> {
  const startedAt = performance.now();
  const logPath = `${output}.log`;
  const child = session.start([DF, "get", url, "-o", output, "--socket", peer.socket], { logPath });
  const exitCode = await child.exited;
  if (exitCode !== 0)
    throw new Error(`df get: exit ${exitCode}: ${await Bun.file(logPath).text()}`);
  return (performance.now() - startedAt) / 1000;
}

async function demo(session: Session): Promise<void> {
  const { machine, date } = provenance("demo");
  console.log(`${machine}\n${date}\n`);
  const payload = randomPayload(FILE_BYTES);
  const digest = sha256Hex(payload);
  await using source = await CountingSource.start({ bytes: payload });

  const fleet = await startFleet(session, { name: "up", flags: ["--upload-rate", SUPERNODE_RATE] });
  const { joinFile } = fleet;
  const peers: RunningPeer[] = [fleet];
  while (peers.length < PEER_COUNT) {
    const listen = `127.0.0.1:${await freePortPair()}`;
    peers.push(await startPeer(session, { name: `peer-${peers.length + 1}`, listen, joinFile }));
  }
  console.log(`source ${source.url}: ${megabytes(FILE_BYTES)}, sha256 ${digest.slice(0, 16)}…`);
  console.log(`df up: config service, supernode (gives at most ${SUPERNODE_RATE}B/s) and peer-1`);
  console.log(`df peer --join @…/join: peer-2 to peer-${PEER_COUNT}`);
  console.log(`${PEER_COUNT} peers, each runs: df get ${source.url} -o FILE\n`);

  const outputs = peers.map((_, i) => join(session.folder, `output-${i + 1}`));
  const seconds = await Promise.all(
    peers.map((peer, i) => getThrough(session, peer, source.url, outputs[i]!)),
  );

  await reportAndCheck({ peers, outputs, seconds, digest, sourceBytes: source.bodyBytes });
}

async function reportAndCheck(run: {
  peers: RunningPeer[];
  outputs: string[];
  seconds: number[];
  digest: string;
  sourceBytes: number;
}): Promise<void> {
  const pieceLength = pieceLengthFor(FILE_BYTES);
  console.log("peer    seconds   digest            given to other peers");
  let givenByPeers = 0;
  const digests: string[] = [];
  for (const [i, peer] of run.peers.entries()) {
    const given = (await peerStatus(peer.socket))?.uploadedBytes ?? 0;
    const outputDigest = await sha256HexOfFile(run.outputs[i]!);
    givenByPeers += given;
    digests.push(outputDigest);
    const pieces = Math.round(given / pieceLength);
    console.log(
      `peer-${i + 1}  ${run.seconds[i]!.toFixed(2).padStart(7)}   ${outputDigest.slice(0, 16)}  ${String(pieces).padStart(5)} pieces  ${megabytes(given).padStart(9)}`,
    );
  }
  console.log(`\n${pieceCountOf(FILE_BYTES, pieceLength)} pieces of ${pieceLength >> 10} KiB`);
  check(
    digests.every((outputDigest) => outputDigest === run.digest),
    "every output has the source's digest",
    `${digests.filter((outputDigest) => outputDigest === run.digest).length} of ${digests.length}`,
  );
  check(
    run.sourceBytes === FILE_BYTES,
    "the source was read exactly once",
    `${megabytes(run.sourceBytes)} of body`,
  );
  const share = givenByPeers / (FILE_BYTES * PEER_COUNT);
  check(
    givenByPeers > 0,
    "peers gave pieces to each other",
    `${(share * 100).toFixed(0)} % of all bytes`,
  );
  console.log(`\nlast peer finished after ${Math.max(...run.seconds).toFixed(2)} s`);
}

await Session.run("demo", demo);
process.exit(violations.length === 0 ? 0 : 1);
