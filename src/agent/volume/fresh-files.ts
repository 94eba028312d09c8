import { BlockCursor } from './block-cursor.ts';
import { type Comparison, NONE } from './comparison.ts';
import { isOutlined } from './file-sender.ts';
import { FILE } from './format.ts';
import { LINK, RecordView, STALE } from './record.ts';

/** A larger file is worth its way only where it is touched. */
const LARGEST_BYTES = 128 * 1024 * 1024;
/** What a program reads first is small as a rule, whenever it was changed: half of the room is for such files. */
const SMALL_BYTES = 1024 * 1024;
/** How many candidates are remembered at least before those that find no room are forgotten. */
const MANY_CANDIDATES = 16_384;

export type FreshOptions = { contentLimit: number; freshBytes: number; final: boolean; poll: () => void };

/**
 * The files above the content limit that travel with their content all the same, up to `freshBytes` of them: those that were changed
 * last, such as a database's log. The container reads them as soon as it starts, and would wait for each. In the final round, in which
 * nobody is served: only those that the receiver has with their content already, so that a few changed blocks are all that travels.
 *
 * @returns the offsets of their records in `after`
 */
export function freshFiles(comparison: Comparison, options: FreshOptions): Set<number> {
  const { contentLimit, freshBytes, final, poll } = options;
  if (freshBytes === 0) return new Set();
  const small = new Latest(freshBytes / 2);
  const large = new Latest(freshBytes);
  const [after, before] = [new RecordView(), new RecordView()];
  comparison.walkAfter({
    enter: (pair) => {
      for (const cursor = new BlockCursor(comparison.after.file, pair.after); cursor.next(after); ) {
        poll();
        if (after.type !== FILE || after.has(LINK) || !isOutlined(after, { contentLimit })) continue;
        if (final ? !hasContent(comparison, after, before) : after.size > LARGEST_BYTES) continue;
        (after.size <= SMALL_BYTES ? small : large).add(after);
      }
    },
    leave: () => {},
  });
  const first = small.chosen();
  const others = large.chosen(freshBytes - first.bytes);
  return new Set([...first.records, ...others.records]);
}

function hasContent(comparison: Comparison, after: RecordView, before: RecordView): boolean {
  const partner = comparison.partnerOf(comparison.slotAfter(after));
  return partner !== NONE && !before.moveTo(comparison.before.file, partner).has(STALE);
}

type Candidate = { record: number; size: number; changedAt: number };
type Chosen = { records: number[]; bytes: number };

/** Those that were changed last, as many as have room. */
class Latest {
  readonly #room: number;
  #candidates: Candidate[] = [];
  #many = MANY_CANDIDATES;

  constructor(room: number) {
    this.#room = room;
  }

  add({ offset: record, size, mtimeSeconds, mtimeNanoseconds }: RecordView): void {
    this.#candidates.push({ record, size, changedAt: mtimeSeconds + mtimeNanoseconds / 1e9 });
    if (this.#candidates.length < this.#many) return;
    this.#candidates = this.#latest(this.#room);
    this.#many = Math.max(MANY_CANDIDATES, 2 * this.#candidates.length);
  }

  /** `room`: if there is less than there was. */
  chosen(room = this.#room): Chosen {
    const latest = this.#latest(room);
    return { records: latest.map(({ record }) => record), bytes: latest.reduce((sum, { size }) => sum + size, 0) };
  }

  #latest(room: number): Candidate[] {
    let left = room;
    return this.#candidates
      .sort((a, b) => b.changedAt - a.changedAt)
      .filter(({ size }) => {
        if (size > left) return false;
        left -= size;
        return true;
      });
  }
}
