// What the peer answers to readers of this host: to `df get` through the socket, and in this process to
// the proxy's port.

import type { Hono } from "hono";
import type { LocalApi } from "../../net/local/local-server.ts";
import type { PeerStatus } from "../../net/wire/local-api.ts";
import { otherDigest } from "../../net/source/source-fault.ts";
import type { PieceStore, StoredContent } from "../../store/piece-store.ts";
import type { LiveSettings } from "../settings/live-settings.ts";
import type { Downloads } from "./downloads.ts";
import { freshnessOnHost } from "./host-freshness.ts";
import { readContent } from "./read-content.ts";
import type { SharedContents } from "./shared-contents.ts";
import type { Supernodes } from "./supernodes.ts";

export interface PeerLocalApiParts {
  store: PieceStore;
  settings: LiveSettings;
  supernodes: Supernodes;
  downloads: Downloads;
  shared: Pick<SharedContents, "discard">;
  /** This host's in its fleet; undefined: it has none. */
  credential: () => string | undefined;
  status: () => PeerStatus;
  health: () => Promise<Hono>;
}

export function peerLocalApi(parts: PeerLocalApiParts): LocalApi {
  const { store, settings, supernodes, downloads } = parts;
  return {
    download: (request, signal) => downloads.read(request, signal),
    content: (contentId, access) => {
      const content = store.get(contentId);
      if (content === undefined) return undefined;
      const isPrivate = content.facts.isPrivate === true;
      if (isPrivate && !downloads.isGranted(contentId, access)) return undefined;
      const download = downloads.bringing(contentId);
      return {
        length: content.manifest.layout.length,
        read: (from, to, signal, partBytesMax) =>
          readContent(content, { from, to, partBytesMax }, download, signal),
        discard: () => discardWrong(content, parts),
        identity: content,
      };
    },
    status: parts.status,
    freshness: (task) =>
      freshnessOnHost({ store, settings, supernodes, credential: parts.credential() }, task),
    others: async (request) => (await parts.health()).fetch(request),
  };
}

/** Whoever waits for it hears why it ends. */
async function discardWrong(
  content: StoredContent,
  { store, downloads, shared }: Pick<PeerLocalApiParts, "store" | "downloads" | "shared">,
): Promise<void> {
  const { contentId, url } = content.facts;
  // Dropped before, and perhaps brought anew.
  if (store.get(contentId) !== content) return;
  downloads.bringing(contentId)?.stop(otherDigest(url).error);
  await shared.discard(contentId);
}
