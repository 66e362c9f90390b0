// A supernode that does what a test says: answers hello by itself, hands everything else to `on`.

import type { ServerWebSocket } from "bun";
import { decodePull, FrameEncoder } from "../../src/net/wire/swarm-frames.ts";
import type { Pull } from "../../src/engine/core/scheduler-events.ts";
import {
  peerMessageSchema,
  type PeerMessage,
  type SupernodeMessage,
} from "../../src/net/wire/swarm-messages.ts";

export interface ScriptedChannel {
  say(message: SupernodeMessage): void;
  raw(data: string | Uint8Array): void;
  frames: FrameEncoder;
  close(): void;
}

export interface SupernodeScript {
  on?: (message: PeerMessage, channel: ScriptedChannel) => void;
  onPull?: (handle: number, pull: Pull, channel: ScriptedChannel) => void;
  /** What is sent when a channel opens; null: nothing. A good hello when left out. */
  greeting?: string | null;
  port?: number;
  /** What requests are answered that open no channel. @defaultValue 400 */
  answer?: (request: Request) => Response;
}

export const SUPERNODE_HELLO: SupernodeMessage = {
  type: "hello",
  protocol: { min: 1, max: 1 },
  version: "0.0.0",
  capabilities: [],
  publicKey: "",
  hostId: "aa".repeat(32),
  hostname: "supernode",
  pieceAddress: null,
  uploadSlots: 16,
  labels: {},
};

export function scriptedSupernode(script: SupernodeScript) {
  const messages: PeerMessage[] = [];
  const pulls: { handle: number; pull: Pull }[] = [];
  let connections = 0;
  const changed = new EventTarget();
  const channelOf = (socket: ServerWebSocket): ScriptedChannel => ({
    say: (message) => void socket.send(JSON.stringify(message)),
    raw: (data) => void socket.send(data),
    frames: new FrameEncoder(),
    close: () => socket.close(),
  });
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: script.port ?? 0,
    development: false,
    fetch: (request, server) =>
      server.upgrade(request)
        ? undefined
        : (script.answer?.(request) ?? new Response(null, { status: 400 })),
    websocket: {
      open(socket) {
        connections++;
        const greeting =
          script.greeting === undefined ? JSON.stringify(SUPERNODE_HELLO) : script.greeting;
        if (greeting !== null) socket.send(greeting);
      },
      message(socket, data) {
        if (typeof data === "string") {
          const message = peerMessageSchema.parse(JSON.parse(data));
          messages.push(message);
          script.on?.(message, channelOf(socket));
        } else {
          const { handle, pull } = decodePull(new Uint8Array(data))!;
          pulls.push({ handle, pull });
          script.onPull?.(handle, pull, channelOf(socket));
        }
        changed.dispatchEvent(new Event("change"));
      },
    },
  });
  return {
    address: `127.0.0.1:${server.port}`,
    port: server.port!,
    messages,
    pulls,
    get connections() {
      return connections;
    },
    /** Resolves with what `pick` finds, now or after a later message. */
    async until<T>(pick: () => T | undefined | false): Promise<T> {
      for (;;) {
        const found = pick();
        if (found !== undefined && found !== false) return found;
        await new Promise((resolve) => changed.addEventListener("change", resolve, { once: true }));
      }
    },
    ofType<Type extends PeerMessage["type"]>(type: Type) {
      return messages.filter((message) => message.type === type) as Extract<
        PeerMessage,
        { type: Type }
      >[];
    },
    stop: () => server.stop(true),
  };
}
