// Every bound and default of the shell (roles, net, store), with its unit and its reason.
// The engine core keeps its own constants beside the decision they steer.

/** One rate-limiter admission and one `sendfile` each: larger pieces move in ranges of this size. */
export const RANGE_BYTES_MAX = 1 << 20;

/** Contents up to this length travel inside the join answer: one round trip instead of a swarm. */
export const INLINE_BYTES_MAX = 8 << 10;

/** Header-less control messages beyond this are refused before they are parsed. A bitmap of 2^20 pieces is 128 KiB, 171 KiB in base64. */
export const CONTROL_MESSAGE_BYTES_MAX = 256 << 10;

/** A URL longer than this is refused; servers commonly stop at 8 KiB too. */
export const URL_BYTES_MAX = 8 << 10;

export const CONFIG_PORT = 8000;
export const SUPERNODE_PORT = 8002;
export const PIECE_PORT = 65002;

/** Registry mirror and forward proxy for programs of this host. */
export const PROXY_PORT = 65001;

/**
 * How long a service that was told to stop lets answers to engines end. Supervisors kill after 30 s (the units of
 * `df install systemd`, Kubernetes); the rest is for what is stopped afterwards.
 */
export const ANSWER_GRACE_MS = 25_000;

/**
 * A connection whose bytes nobody here understands, and through which none came for so long, is between two answers.
 * While an answer comes in pieces of 4 MiB, they are as far apart at 7 Mb/s.
 */
export const TUNNEL_REST_MS = 5_000;

/** Beside the piece port and the proxy's. */
export const METRICS_PORT = 65003;

/** How many pieces a peer uploads at once; see docs/architecture.md, "slots". */
export const UPLOAD_SLOTS = 3;

/** How long an owner may stay silent before neighbours, another member, or the source is asked. */
export const OWNER_SILENCE_MS = 3_000;

/** Peers of one swarm that begin to read the source per second when no supernode answers. */
export const BACK_TO_SOURCE_PER_SEC = 10;

/** Range connections of one source read. 4 fill a path that one TCP connection does not; more looks like abuse to a source. */
export const SOURCE_CONNECTIONS = 4;

/** Requests to one source that wait for a connection; more are told that it is busy. */
const WAITING_PER_SOURCE = 1_024;

/**
 * Connections of this process to one source, 16 in all: what more of them would bring, they would take
 * from others there. Reads run on a thread of their own and have three contents' worth at full speed;
 * a source's probes are headers only.
 */
export const READ_CONNECTIONS = { connectionsMax: 12, waitingMax: WAITING_PER_SOURCE };
export const PROBE_CONNECTIONS = { connectionsMax: 4, waitingMax: WAITING_PER_SOURCE };

/** Proofs of requesters' rights: headers only too, and a crowd waits for them. */
export const PROOF_CONNECTIONS = { connectionsMax: 32, waitingMax: WAITING_PER_SOURCE };

/** What a peer's port passes through to a registry for the engines of its host: an engine asks for a few blobs at once. */
export const PASSED_CONNECTIONS = { connectionsMax: 16, waitingMax: WAITING_PER_SOURCE };

/** Of a command that reads for itself alone. */
export const OWN_CONNECTIONS = { connectionsMax: 16, waitingMax: WAITING_PER_SOURCE };

/** Time to open a connection to a source. A reachable host answers a SYN within a retransmission or two (1 s, 3 s). */
export const CONNECT_TIMEOUT_MS = 3_000;

/** Time from request to the source's first header byte. */
export const FIRST_BYTE_TIMEOUT_MS = 10_000;

/** Of one request to a source, where nobody said otherwise. */
export const SOURCE_TIMEOUTS_MS = {
  connect: CONNECT_TIMEOUT_MS,
  firstByte: FIRST_BYTE_TIMEOUT_MS,
};

/** A parent that delivers nothing for this long is given up. */
export const PIECE_STALL_TIMEOUT_MS = 5_000;

/** How long an idle download outlives its last reader before it is stopped. */
export const READERLESS_GRACE_MS = 5_000;

/** A version checked at the source this recently is used without another probe; in-flight contents always are. */
export const VALIDATED_FRESH_MS = 2_000;

/** Contents without a validator are shared while in flight and this long after. */
export const UNVALIDATED_SHARE_MS = 60_000;

/**
 * Verified pieces are journalled in one transaction per this interval. A transaction costs 0.2 ms,
 * which slow links cannot afford per piece: a host of small pieces has 20 of them a second, and five a
 * second still took a tenth of its JavaScript time. What a kill would lose meanwhile stands in the
 * commit log.
 */
export const JOURNAL_INTERVAL_MS = 1_000;
