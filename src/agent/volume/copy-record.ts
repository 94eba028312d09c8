import { appendRecord, LINK, RecordView } from './record.ts';
import type { Tree } from './tree.ts';

const copy = new RecordView();

/**
 * Appends the entry `named` of another tree; `first` is the record of its inode's first name there. Only the first name of an
 * inode in this tree gets all that is known of it. Returns the record's offset.
 */
export function copyRecord({ file, index }: Tree, named: RecordView, first: RecordView): number {
  const [name, target] = [named.name.subarray(0, -1), named.target.subarray(0, -1)];
  const { inodeLow, inodeHigh, type } = first;
  const isFirst = index.find(inodeLow, inodeHigh) < 0;
  const flags = isFirst ? first.flags & ~LINK : LINK;
  const offset = appendRecord(file, { type, flags, name, target }, null);
  copy.moveTo(file, offset).copyFrom(first);
  if (isFirst) index.add(inodeLow, inodeHigh, offset);
  return offset;
}
