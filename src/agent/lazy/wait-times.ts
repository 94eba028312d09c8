const STEPS_A_DOUBLING = 4;

/** How long processes waited, in a histogram of steps of a fifth: quantiles without keeping every sample. */
export class WaitTimes {
  readonly #counts = new Map<number, number>();
  #total = 0;

  add(milliseconds: number): void {
    const step = Math.round(Math.log2(Math.max(0.001, milliseconds)) * STEPS_A_DOUBLING);
    this.#counts.set(step, (this.#counts.get(step) ?? 0) + 1);
    this.#total += 1;
  }

  get count(): number {
    return this.#total;
  }

  /** Milliseconds within which this share of them was over; null when nobody waited. */
  quantile(share: number): number | null {
    let seen = 0;
    for (const step of [...this.#counts.keys()].sort((a, b) => a - b)) {
      seen += this.#counts.get(step) ?? 0;
      if (seen >= share * this.#total) return 2 ** (step / STEPS_A_DOUBLING);
    }
    return null;
  }
}
