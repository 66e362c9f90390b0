// What supernodes say to whoever runs this host, said once each: it comes again with every channel.

/** Enough for each supernode to say something; a hostile one must not fill the log. */
const WORDS_MAX = 100;

export class SupernodesWords {
  readonly #onWarning: (message: string) => void;
  readonly #said = new Set<string>();
  /** Supernodes that do not admit this host, and why they did not last. */
  readonly #refusals = new Map<string, string>();

  constructor(onWarning: (message: string) => void) {
    this.#onWarning = onWarning;
  }

  noticed(supernode: string, text: string): void {
    const notice = `supernode ${supernode}: ${text}`;
    if (this.#said.size >= WORDS_MAX || this.#said.has(notice)) return;
    this.#said.add(notice);
    this.#onWarning(notice);
  }

  /** A supernode is tried again for as long as it is on the list. */
  refused(supernode: string, reason: string): void {
    if (this.#refusals.get(supernode) === reason) return;
    this.#refusals.set(supernode, reason);
    this.#onWarning(`supernode ${supernode} does not admit this host: ${reason}`);
  }
}
