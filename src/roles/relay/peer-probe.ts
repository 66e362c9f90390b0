// Whether the peer answers now. A process that was stopped or hangs still has its socket, and the
// system accepts connections for it: only an answer shows that it lives.
//
//   nobody asks ──ask──▶ question under way ──no answer in time──▶ overdue: whoever asks is told "no" at once
//        ▲                       │ answer, refusal                        │ answer, refusal, limit
//        └───────────────────────┴────────────────────────────────────────┘

import { reasonOf } from "./dial.ts";

/** An idle peer answers in a millisecond; one whose threads wait for a busy CPU in some tens. */
const ANSWER_TIMEOUT_MS = 1_000;

/** A question that the peer lost is given up, so that another can show that it lives. */
const QUESTION_LIMIT_MS = 10_000;

const QUESTION = "GET /livez HTTP/1.1\r\nHost: peer\r\nConnection: close\r\n\r\n";

/** Why it is not to be had, in a few words; null: it lives. */
export type PeerState = string | null;

export class PeerProbe {
  readonly #socketPath: string;
  /** The question under way, for all who ask meanwhile. */
  #question: Promise<PeerState> | null = null;
  #isOverdue = false;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async ask(): Promise<PeerState> {
    if (this.#isOverdue) return TOO_LATE;
    this.#question ??= this.#begin();
    return this.#question;
  }

  /** Settles with the answer, or when that is overdue; the question itself lives on. */
  #begin(): Promise<PeerState> {
    const { promise, resolve } = Promise.withResolvers<PeerState>();
    const overdue = setTimeout(() => {
      this.#isOverdue = true;
      resolve(TOO_LATE);
    }, ANSWER_TIMEOUT_MS);
    void answerOf(this.#socketPath).then((state) => {
      clearTimeout(overdue);
      this.#isOverdue = false;
      this.#question = null;
      resolve(state);
    });
    return promise;
  }
}

const TOO_LATE = `no answer within ${ANSWER_TIMEOUT_MS / 1000} s`;

async function answerOf(unix: string): Promise<PeerState> {
  const { promise, resolve } = Promise.withResolvers<PeerState>();
  let answer = "";
  const connected = Bun.connect({
    unix,
    socket: {
      open: (socket) => void socket.write(QUESTION),
      data: (socket, bytes) => {
        answer += bytes.toString("latin1");
        const status = /^HTTP\/1\.[01] (\d{3}) /.exec(answer)?.[1];
        if (status === undefined && answer.length < QUESTION.length) return;
        // A version that knows no /livez answers as well.
        const isLiving = status !== undefined && Number(status) < 500;
        resolve(isLiving ? null : `it answers ${status ?? "no HTTP"}`);
        socket.terminate();
      },
      close: () => resolve("it closed the connection"),
      error: (_socket, error) => resolve(reasonOf(error)),
    },
  });
  const limit = setTimeout(() => resolve(TOO_LATE), QUESTION_LIMIT_MS);
  connected.catch((error: unknown) => resolve(reasonOf(error)));
  const state = await promise;
  clearTimeout(limit);
  connected.then(
    (socket) => socket.terminate(),
    () => {},
  );
  return state;
}
