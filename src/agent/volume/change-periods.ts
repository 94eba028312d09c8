import { InodeIndex } from './inode-index.ts';

/** Of one period, at 17 bytes each; where more is changed a scan of everything is the better way. */
const MOST_INODES = 1_000_000;

type Period = { label: string; inodes: InodeIndex; lost: string | null };

/** The inodes that were changed, period by period. What was lost in one of them is lost for those that began before, too. */
export class ChangePeriods {
  #periods: Period[] = [];

  begin(label: string): void {
    this.#periods.push({ label, inodes: new InodeIndex(), lost: null });
  }

  add(low: number, high: number): void {
    const period = this.#periods.at(-1);
    if (period === undefined || period.lost !== null) return;
    if (period.inodes.count === MOST_INODES) this.lose('too much was changed');
    else period.inodes.add(low, high, 0);
  }

  lose(reason: string): void {
    const period = this.#periods.at(-1);
    if (period === undefined) return;
    period.lost = reason;
    period.inodes = new InodeIndex();
  }

  /** Everything from the period's beginning to now, or why that isn't known. */
  since(label: string): { inodes: Uint32Array } | { lost: string } {
    const first = this.#periods.findIndex((period) => period.label === label);
    if (first < 0) return { lost: 'it was not watched the whole time' };
    const periods = this.#periods.slice(first);
    const lost = periods.find((period) => period.lost !== null)?.lost;
    if (lost !== undefined && lost !== null) return { lost };
    const inodes = new Uint32Array(2 * periods.reduce((sum, period) => sum + period.inodes.count, 0));
    let filled = 0;
    for (const period of periods) {
      period.inodes.forEach((low, high) => {
        inodes.set([low, high], filled);
        filled += 2;
      });
    }
    return { inodes };
  }

  /** Nobody will ask for what began before this period. */
  forgetBefore(label: string): void {
    const first = this.#periods.findIndex((period) => period.label === label);
    if (first > 0) this.#periods = this.#periods.slice(first);
  }
}
