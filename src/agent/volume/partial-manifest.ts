import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../../linux/libc.ts';
import { FILE } from './format.ts';
import { Manifest, manifestPaths, NewManifest } from './manifest.ts';
import { mergeTrees } from './merged-tree.ts';
import { RecordView } from './record.ts';
import { openTree, type Tree } from './tree.ts';

/**
 * A manifest that a round with a list of changes leaves: only what differs from the manifest `base`. Its files are
 * `<label>.part.tree` and `.blocks` (what is there now), and `<label>.before-<base>.tree` (what that takes the place of). It is
 * made whole when it is read for the first time, so that the last round needn't write what didn't change.
 */
export function partOf(label: string): string {
  return `${label}.part`;
}

export function beforeOf(label: string, base: string): string {
  return `${label}.before-${base}`;
}

/** The manifest that a partial one is based on; null for one that is whole. */
export function baseOfPartial(stateDir: string, label: string): string | null {
  const names = readdirSync(stateDir);
  if (names.includes(`${label}.tree`)) return null;
  const start = beforeOf(label, '');
  return names.find((name) => name.startsWith(start))?.slice(start.length, -'.tree'.length) ?? null;
}

/** Opens a manifest, whole or not; the caller closes it. */
export function openManifest(stateDir: string, label: string): Manifest {
  makeWhole(stateDir, label);
  return new Manifest(stateDir, label);
}

/**
 * Opens a tree with all that is STALE in a manifest; the caller closes it. What was STALE is looked at in every round (`BaseTree.unsure`), so
 * the part that differs from the base holds it: a few entries, however many there are.
 */
export function openStale(stateDir: string, label: string): Tree {
  const isPartial = baseOfPartial(stateDir, label) !== null;
  try {
    return openTree(manifestPaths(stateDir, isPartial ? partOf(label) : label).tree);
  } catch (error) {
    if (!isPartial || !isErrno(error, 'ENOENT')) throw error;
    // It was made whole meanwhile.
    return openTree(manifestPaths(stateDir, label).tree);
  }
}

/** All that is kept for these manifests has one of these labels. */
export function labelsKept(stateDir: string, labels: readonly string[]): Set<string> {
  const kept = new Set(labels);
  for (const label of kept) {
    const base = baseOfPartial(stateDir, label);
    if (base !== null) kept.add(partOf(label)).add(beforeOf(label, base)).add(base);
  }
  return kept;
}

/** Whole is what has a tree file of its own: it gets its name last. */
function makeWhole(stateDir: string, label: string): void {
  const baseLabel = baseOfPartial(stateDir, label);
  if (baseLabel === null) return;
  makeWhole(stateDir, baseLabel);
  const whole = `${label}.whole`;
  writeWhole(stateDir, { label, baseLabel, whole });
  renameSync(join(stateDir, `${whole}.blocks`), join(stateDir, `${label}.blocks`));
  renameSync(join(stateDir, `${whole}.tree`), join(stateDir, `${label}.tree`));
  syncDirectory(stateDir);
  for (const name of readdirSync(stateDir)) {
    if (name.startsWith(partOf(label)) || name.startsWith(beforeOf(label, ''))) rmSync(join(stateDir, name));
  }
}

function writeWhole(stateDir: string, labels: { label: string; baseLabel: string; whole: string }): void {
  const { label, baseLabel, whole } = labels;
  using base = new Manifest(stateDir, baseLabel);
  using part = new Manifest(stateDir, partOf(label));
  const before = openTree(manifestPaths(stateDir, beforeOf(label, baseLabel)).tree);
  using _ = before.file;
  using into = new NewManifest(stateDir, whole, base.tree.index.count);
  const copy = new RecordView();
  mergeTrees({ base: base.tree, before, after: part.tree }, into.tree, (offset, { tree, record }) => {
    if (record.type !== FILE) return;
    into.keepContent(copy.moveTo(into.tree.file, offset), record, tree === 'base' ? base.blocks : part.blocks);
  });
  into.flush(true);
}

function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
