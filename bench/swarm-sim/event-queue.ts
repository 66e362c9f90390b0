// The simulator's future: events by time, those of equal time in the order they were planned.

/** Kinds of planned events. */
export const EVENT = {
  join: 0,
  toOwner: 1,
  ownerFree: 2,
  toPeer: 3,
  request: 4,
  fetched: 5,
  wakePeer: 6,
  wakeOwner: 7,
  fault: 8,
  cancel: 9,
  restart: 10,
  stalled: 11,
  silent: 12,
  haveAsked: 13,
  haveTold: 14,
  assigned: 15,
  wakeAlone: 16,
  probed: 17,
} as const;

/** What happens at a time: a kind, two numbers and whatever the kind carries. */
export interface PlannedEvent {
  atUs: number;
  kind: number;
  a: number;
  b: number;
  payload: unknown;
}

/** A binary heap over (time, sequence number). */
export class EventQueue {
  #times = new Float64Array(1 << 16);
  #sequence = new Float64Array(1 << 16);
  readonly #events: PlannedEvent[] = [];
  #planned = 0;

  get length(): number {
    return this.#events.length;
  }

  /** Infinity when nothing is planned. */
  get nextUs(): number {
    return this.#events.length === 0 ? Infinity : this.#times[0]!;
  }

  push(atUs: number, kind: number, a: number, b = 0, payload?: unknown): void {
    let at = this.#events.length;
    if (at === this.#times.length) this.#grow();
    this.#events.push({ atUs, kind, a, b, payload });
    const event = this.#events[at]!;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (this.#times[up]! <= atUs) break;
      this.#move(up, at);
      at = up;
    }
    this.#put(at, event, atUs, this.#planned++);
  }

  pop(): PlannedEvent {
    const first = this.#events[0]!;
    const end = this.#events.length - 1;
    const last = this.#events.pop()!;
    if (end > 0) this.#sink(last, this.#times[end]!, this.#sequence[end]!, end);
    return first;
  }

  #sink(event: PlannedEvent, time: number, sequence: number, length: number): void {
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= length) break;
      if (down + 1 < length && this.#isBefore(down + 1, this.#times[down]!, this.#sequence[down]!))
        down++;
      if (!this.#isBefore(down, time, sequence)) break;
      this.#move(down, at);
      at = down;
    }
    this.#put(at, event, time, sequence);
  }

  #isBefore(at: number, time: number, sequence: number): boolean {
    const other = this.#times[at]!;
    return other < time || (other === time && this.#sequence[at]! < sequence);
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#events[from]!, this.#times[from]!, this.#sequence[from]!);
  }

  #put(at: number, event: PlannedEvent, time: number, sequence: number): void {
    this.#events[at] = event;
    this.#times[at] = time;
    this.#sequence[at] = sequence;
  }

  #grow(): void {
    const times = new Float64Array(this.#times.length * 2);
    times.set(this.#times);
    this.#times = times;
    const sequence = new Float64Array(times.length);
    sequence.set(this.#sequence);
    this.#sequence = sequence;
  }
}
