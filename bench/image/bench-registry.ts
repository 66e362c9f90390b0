// The registry of these benches: filled on loopback, then run in the source's namespace.

import { buildImage, sizeOfImage, type BuiltImage } from "../../test/fixtures/image-builder.ts";
import { pushImage } from "../../test/fixtures/registry-push.ts";
import {
  egressOf,
  startRegistry,
  type RunningRegistry,
} from "../../test/fixtures/registry-server.ts";
import type { Session } from "../harness/session.ts";
import { on, type Host } from "../swarm-real/network.ts";

const PORT = 5000;
/** Also Docker can name it: "bench" of its default registry. */
export const REPOSITORY = "library/bench";
export const TAG = "latest";

export interface BenchRegistry {
  readonly address: string;
  readonly image: BuiltImage;
  /** Bytes of manifest, config and layers. */
  readonly imageBytes: number;
  /** How many times the image was sent since the last `forget`, from the registry's own log. */
  egressCopies(): Promise<number>;
  forget(): Promise<void>;
}

/** @param source where it runs @param layers their sizes */
export async function startBenchRegistry(
  session: Session,
  source: Host,
  layers: readonly number[],
): Promise<BenchRegistry> {
  const image = buildImage({ layers, family: "docker" });
  const imageBytes = sizeOfImage(image);
  const filled = await startRegistry(session, { name: "registry-filled" });
  await pushImage(filled, { repository: REPOSITORY, tag: TAG }, image);
  await filled.stop();
  const registry: RunningRegistry = await startRegistry(session, {
    ...{ name: "registry", host: source.address, port: PORT, storage: filled.storage },
    wrap: (command) => on(source, command),
  });
  return {
    address: registry.address,
    image,
    imageBytes,
    egressCopies: async () => egressOf(await registry.access()) / imageBytes,
    forget: () => registry.forgetAccess(),
  };
}
