import { BaseTree } from './base-tree.ts';
import { BlockListReader } from './block-list.ts';
import { auditChangedTrees } from './change-audit.ts';
import { findChangedTrees, Uncertain } from './changed-trees.ts';
import { Comparison } from './comparison.ts';
import { InodeIndex } from './inode-index.ts';
import { manifestPaths, NewManifest } from './manifest.ts';
import { sizeOfTree } from './merged-tree.ts';
import { hasMountsBelow } from './mounts-below.ts';
import type { OpenRoot } from './open-root.ts';
import { HAVE } from './own-manifest.ts';
import { PagedFile } from './paged-file.ts';
import { baseOfPartial, beforeOf, openManifest, partOf } from './partial-manifest.ts';
import { scanTree } from './scanner.ts';
import type { Tree } from './tree.ts';
import type { RoundChanges } from './worker-messages.ts';

type TotalSize = { files: number; bytes: number };

/** The tree that a round sends; its manifest gets the name `label`. */
export type SourceTree = {
  root: OpenRoot;
  stateDir: string;
  label: string;
  /** How many entries the tree had when it was sent last, and what is known of the trees that are manifests. */
  known: { entries: number; sizes: Readonly<Record<string, { entries: number; bytes: number }>> };
  contentLimit: number;
  poll: () => void;
  onChange: (path: string) => void;
};

/** What a round compares, and the manifest that it completes while it sends. */
export type RoundTrees = {
  readonly comparison: Comparison;
  readonly manifest: NewManifest;
  readonly earlierBlocks: BlockListReader;
  readonly total: TotalSize;
} & Disposable;

/** A tree that was looked at as a whole. */
export type ScannedTree = { readonly manifest: NewManifest; readonly total: TotalSize } & Disposable;

export function scanWhole({ root, stateDir, label, known, poll, onChange }: SourceTree): ScannedTree {
  const manifest = new NewManifest(stateDir, label, known.entries * 1.1);
  try {
    const total = scanTree({ root, ...manifest.tree, poll, onChange });
    return { manifest, total, [Symbol.dispose]: () => manifest[Symbol.dispose]() };
  } catch (error) {
    manifest[Symbol.dispose]();
    throw error;
  }
}

/** `base`: the manifest of what the target has; null: it sent its own. The scanned tree stays the caller's. */
export function compareWhole({ manifest, total }: ScannedTree, tree: SourceTree, base: string | null): RoundTrees {
  const { stateDir, root, contentLimit } = tree;
  const earlier = openManifest(stateDir, base ?? HAVE);
  const comparison = new Comparison(earlier.tree, manifest.tree, {
    byName: base === null || root.only !== null,
    trustSignatures: base !== null,
    contentLimit,
  });
  const dispose = (): void => earlier[Symbol.dispose]();
  return { comparison, manifest, earlierBlocks: earlier.blocks, total, [Symbol.dispose]: dispose };
}

export type ListedOptions = { base: string | null; changes: RoundChanges; audit: boolean };

/** Looks only at what may have changed. Null: nobody can say for certain what that is. */
export function compareListed(tree: SourceTree, { base, changes, audit }: ListedOptions): RoundTrees | null {
  const { root, stateDir, label } = tree;
  const size = base === null ? undefined : tree.known.sizes[base];
  if (base === null || size === undefined || changes.base !== base || baseOfPartial(stateDir, base) !== null)
    return null;
  if (hasMountsBelow(root.path)) return null;
  using undo = new DisposableStack();
  const earlier = undo.use(BaseTree.open(manifestPaths(stateDir, base).tree));
  // Beyond this, scanning takes as long.
  if (changes.inodes.length / 2 > earlier.tree.index.count / 2 + MANY) return null;
  const manifest = undo.use(new NewManifest(stateDir, partOf(label)));
  const before: Tree = {
    file: undo.use(PagedFile.create(manifestPaths(stateDir, beforeOf(label, base)).tree)),
    index: new InodeIndex(),
  };
  const { inodes } = changes;
  try {
    findChangedTrees({ root, poll: tree.poll, base: earlier, inodes, before, after: manifest.tree });
  } catch (error) {
    if (error instanceof Uncertain) return null;
    throw error;
  }
  before.file.flush(true);
  if (audit) auditChangedTrees(tree, { base: earlier.tree, before, after: manifest.tree });
  const rules = { byName: false, trustSignatures: true, contentLimit: tree.contentLimit };
  const comparison = new Comparison(before, manifest.tree, rules);
  const earlierBlocks = undo.use(new BlockListReader(manifestPaths(stateDir, base).blocks));
  const total = totalOf(size, sizeOfTree(before), sizeOfTree(manifest.tree));
  const kept = undo.move();
  return { comparison, manifest, earlierBlocks, total, [Symbol.dispose]: () => kept.dispose() };
}

/** A list of so many inodes is short, however few files there are. */
const MANY = 10_000;

function totalOf(base: { entries: number; bytes: number }, before: TotalSize, after: TotalSize): TotalSize {
  return {
    files: base.entries - before.files + after.files,
    bytes: Math.max(0, base.bytes - before.bytes + after.bytes),
  };
}
