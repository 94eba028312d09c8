import { rmSync } from 'node:fs';
import { CargoError } from '../../api/cargo-error.ts';
import { showName } from '../../linux/libc.ts';
import { BlockCursor } from './block-cursor.ts';
import { DIRECTORY } from './format.ts';
import { manifestPaths, NewManifest } from './manifest.ts';
import { type ChangedTree, mergeTrees } from './merged-tree.ts';
import { LINK, RecordView } from './record.ts';
import type { SourceTree } from './round-trees.ts';
import { scanTree } from './scanner.ts';
import { ROOT, type Tree } from './tree.ts';

/**
 * Scans the whole tree, and compares that with what the list of changes made of it.
 * @throws CargoError INTERNAL that names the first difference
 */
export function auditChangedTrees({ root, stateDir, poll, onChange }: SourceTree, changed: ChangedTree): void {
  using merged = new NewManifest(stateDir, 'audit-merged');
  using scanned = new NewManifest(stateDir, 'audit-scanned');
  try {
    mergeTrees(changed, merged.tree);
    scanTree({ root, ...scanned.tree, poll, onChange });
    compare(merged.tree, scanned.tree);
  } finally {
    for (const label of ['audit-merged', 'audit-scanned']) {
      for (const path of Object.values(manifestPaths(stateDir, label))) rmSync(path);
    }
  }
}

type Place = { merged: number; scanned: number; path: string };

function compare(merged: Tree, scanned: Tree): void {
  const [left, right] = [new RecordView(), new RecordView()];
  const places: Place[] = [{ merged: ROOT, scanned: ROOT, path: '' }];
  for (let place = places.pop(); place !== undefined; place = places.pop()) {
    const isSame = left.moveTo(merged.file, place.merged).hasSameSignature(right.moveTo(scanned.file, place.scanned));
    if (!isSame) throw missed(place.path);
    const [a, b] = [new BlockCursor(merged.file, place.merged), new BlockCursor(scanned.file, place.scanned)];
    for (let [hasLeft, hasRight] = [a.next(left), b.next(right)]; hasLeft || hasRight; ) {
      const path = `${place.path}/${showName((hasLeft ? left : right).name)}`;
      const isEqual = hasLeft && hasRight && left.compareName(right) === 0 && isSameEntry(left, right);
      if (!isEqual) throw missed(path);
      if (left.type === DIRECTORY) places.push({ merged: left.offset, scanned: right.offset, path });
      [hasLeft, hasRight] = [a.next(left), b.next(right)];
    }
  }
}

function isSameEntry(left: RecordView, right: RecordView): boolean {
  const isSameKind = left.type === right.type && left.has(LINK) === right.has(LINK);
  return isSameKind && left.hasSameSignature(right) && left.target.equals(right.target);
}

function missed(path: string): CargoError {
  return new CargoError('INTERNAL', `The change log missed a change of ${path === '' ? 'the root' : path}.`);
}
