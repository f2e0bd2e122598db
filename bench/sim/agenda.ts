// What happens next: one pending time per slot, the earliest found in constant time and moved in logarithmic time.

/** A binary heap of slots 0 to n - 1 by time; equal times go by slot number, so that a run is the same each time. */
export class Agenda {
  readonly #timesMs: Float64Array;
  readonly #heap: Int32Array;
  /** Place of a slot in the heap, -1 where it has no time. */
  readonly #place: Int32Array;
  #size = 0;

  constructor(slots: number) {
    this.#timesMs = new Float64Array(slots).fill(Infinity);
    this.#heap = new Int32Array(slots);
    this.#place = new Int32Array(slots).fill(-1);
  }

  /** Infinity where nothing is pending. */
  get nextMs(): number {
    return this.#size === 0 ? Infinity : this.#timesMs[this.#heap[0]!]!;
  }

  /** -1 where nothing is pending. */
  get nextSlot(): number {
    return this.#size === 0 ? -1 : this.#heap[0]!;
  }

  /** Sets or moves a slot's time; Infinity takes it out. */
  set(slot: number, timeMs: number): void {
    const place = this.#place[slot]!;
    if (timeMs === Infinity) {
      if (place >= 0) this.#remove(slot, place);
      return;
    }
    this.#timesMs[slot] = timeMs;
    if (place < 0) this.#up(this.#append(slot));
    else this.#down(this.#up(place));
  }

  #append(slot: number): number {
    this.#heap[this.#size] = slot;
    this.#place[slot] = this.#size;
    return this.#size++;
  }

  #remove(slot: number, place: number): void {
    this.#place[slot] = -1;
    this.#timesMs[slot] = Infinity;
    const last = this.#heap[--this.#size]!;
    if (last === slot) return;
    this.#heap[place] = last;
    this.#place[last] = place;
    this.#down(this.#up(place));
  }

  #before(one: number, other: number): boolean {
    const [left, right] = [this.#timesMs[one]!, this.#timesMs[other]!];
    return left < right || (left === right && one < other);
  }

  #up(from: number): number {
    let place = from;
    const slot = this.#heap[place]!;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (!this.#before(slot, this.#heap[above]!)) break;
      this.#put(place, this.#heap[above]!);
      place = above;
    }
    this.#put(place, slot);
    return place;
  }

  #down(from: number): void {
    let place = from;
    const slot = this.#heap[place]!;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= this.#size) break;
      if (below + 1 < this.#size && this.#before(this.#heap[below + 1]!, this.#heap[below]!)) below++;
      if (!this.#before(this.#heap[below]!, slot)) break;
      this.#put(place, this.#heap[below]!);
      place = below;
    }
    this.#put(place, slot);
  }

  #put(place: number, slot: number): void {
    this.#heap[place] = slot;
    this.#place[slot] = place;
  }
}
