// A peer inside this process, for `--no-daemon`: it brings pieces and shares none. What it holds
// outlives an interruption, so that the same command goes on with it.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDfError } from "../../errors.ts";
import { LocalClient } from "../../net/local-client.ts";
import { type RunningPeer, startPeer } from "../peer/start-peer.ts";
import { type KnownSwarm, nameOf, userStateDir } from "./background-peer.ts";

export interface OwnPeer {
  readonly client: LocalClient;
  stop(discard: boolean): Promise<void>;
}

/**
 * Starts the peer on a private socket. Pieces lie in the user's state folder; while another command
 * uses that, in a temporary one.
 * @throws {DfError} what startPeer throws
 */
export async function startOwnPeer(
  { supernodes, fleet }: KnownSwarm,
  onWarning: (message: string) => void,
): Promise<OwnPeer> {
  const socketDir = await mkdtemp(join(tmpdir(), "df-get-"));
  const socketPath = join(socketDir, "peer.sock");
  const ownDir = join(userStateDir(), `get-${nameOf({ supernodes, fleet })}`);
  const begin = (dataDir: string): Promise<RunningPeer> =>
    startPeer({
      ...{ supernodes, fleet, labels: {} },
      listen: { hostname: "127.0.0.1", port: 0 },
      advertise: null,
      socketPath,
      socketGroupId: null,
      dataDir,
      downloadRateBytesPerSec: undefined,
      uploadRateBytesPerSec: undefined,
      diskRateBytesPerSec: undefined,
      quotaBytes: undefined,
      uploadSlots: 0,
      lingerMs: null,
      onWarning,
    });
  let dataDir = ownDir;
  const peer = await begin(ownDir).catch((error: unknown) => {
    if (!isDfError(error, "denied")) throw error;
    dataDir = join(socketDir, "pieces");
    return begin(dataDir);
  });
  return {
    client: new LocalClient(socketPath),
    async stop(discard) {
      await peer.stop();
      if (discard) await rm(dataDir, { recursive: true, force: true });
      await rm(socketDir, { recursive: true, force: true });
    },
  };
}
