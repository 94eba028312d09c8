import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { reachBlocking } from '../../faults/reach.ts';
import { BaseTree } from './base-tree.ts';
import { BlockHash } from './block-hash.ts';
import type { BlockListReader } from './block-list.ts';
import type { Comparison } from './comparison.ts';
import { ContentSender } from './content-sender.ts';
import { Acknowledge, HashKey, Welcome } from './control-frames.ts';
import { DATA_PROTOCOL } from './format.ts';
import { frameKinds } from './frames.ts';
import { freshFiles } from './fresh-files.ts';
import { type Link, unexpectedFrame } from './link.ts';
import { manifestPaths, type NewManifest } from './manifest.ts';
import { OpWriter } from './op-writer.ts';
import { OpenRoot } from './open-root.ts';
import { receiveOwnManifest } from './own-manifest.ts';
import { labelsKept } from './partial-manifest.ts';
import { compareListed, compareWhole, type ScannedTree, type SourceTree, scanWhole } from './round-trees.ts';
import { StateFile } from './state-file.ts';
import { StructureSender } from './structure-sender.ts';
import type { RoundProgress, RoundStats, WorkerJob } from './worker-messages.ts';

type SendJob = Extract<WorkerJob, { kind: 'send' }>;

/**
 * Labels of manifests: what the receiver had acknowledged, and what was sent last, acknowledged or not. Manifests with
 * hashes of another kind than those under `hashKey` are not read: their state doesn't parse.
 */
export const SourceState = z.object({
  hashKey: HashKey,
  acknowledged: z.string().nullable(),
  sent: z.string().nullable(),
  entries: z.int().describe('In the tree that was sent last.'),
  contentLimit: z.number().nullable().default(null).describe('Of larger files the target has the outline only.'),
  sizes: z
    .record(z.string(), z.object({ entries: z.int(), bytes: z.int() }))
    .default({})
    .describe('By label: entries, and bytes allocated to files.'),
});
export type SourceState = z.infer<typeof SourceState>;

/** The source's side of a round, start to end. */
export function sendRoundInWorker(job: SendJob, link: Link): RoundStats {
  const { label, stats } = sendTree(job, link);
  // When the indexes of the trees that were compared are gone: a million files have tens of MB of them.
  if (job.isFollowed === true) BaseTree.keepIndex(manifestPaths(job.stateDir, label).tree);
  return stats;
}

function sendTree(job: SendJob, link: Link): { label: string; stats: RoundStats } {
  using root = OpenRoot.open(job.root);
  const state = new StateFile(job.stateDir, 'source.json', SourceState);
  const known = state.read() ?? newState();
  const { hashKey, acknowledged, sent } = known;
  using hash = new BlockHash(Buffer.from(hashKey, 'base64'));
  const bases = [sent, acknowledged].filter((label) => label !== null);
  removeManifests(job.stateDir, bases);
  link.sendControl(frameKinds.hello, {
    protocol: DATA_PROTOCOL,
    round: job.round,
    final: job.final,
    isFile: job.root.isFile,
    hashKey,
    bases,
  });
  const { contentLimit = Number.MAX_SAFE_INTEGER, wholeMs = 0, freshBytes = 0, label = randomUUID() } = job;
  const wholeUntil = performance.now() + wholeMs;
  const poll = (): void => link.throwIfStopped();
  const onChange = (path: string): void => {
    if (job.final) throw changedFile(root.path, path);
  };
  const tree: SourceTree = { root, stateDir: job.stateDir, label, known, contentLimit, poll, onChange };
  const changes = job.root.isFile ? null : (job.changes ?? null);
  using opened = new DisposableStack();
  const scan = (): ScannedTree => opened.use(scanWhole(tree));
  // A scan begins before the target has answered.
  const early = changes === null ? scan() : null;
  const base = baseOf(link, bases);
  if (base === null) receiveOwnManifest(job.stateDir, link);
  const listed = changes === null ? null : compareListed(tree, { base, changes, audit: job.audit === true });
  const trees = opened.use(listed ?? compareWhole(early ?? scan(), tree, base));
  const { manifest, total } = trees;
  const limits = { contentLimit, wholeUntil, freshBytes, final: job.final };
  const result = sendDifferences({ ...trees, ...limits, root, hash, link, poll, onChange });

  manifest.flush(true);
  const size = { entries: total.files, bytes: total.bytes };
  const baseSize = base === null ? undefined : known.sizes[base];
  const sizes = { [label]: size, ...(base === null || baseSize === undefined ? {} : { [base]: baseSize }) };
  const kept = { hashKey, entries: total.files, contentLimit: job.contentLimit ?? null };
  state.write({ ...kept, acknowledged: base, sent: label, sizes });
  const stats = { ...result.totals, totalFiles: total.files, totalBytes: total.bytes };
  link.sendControl(frameKinds.end, { state: label, digest: result.digest, ...stats });
  const { state: reached } = link.receiveControl(frameKinds.acknowledge, Acknowledge);
  if (reached !== label) throw unexpectedFrame(frameKinds.acknowledge);
  link.sendControl(frameKinds.bye, {});
  state.write({ ...kept, acknowledged: label, sent: label, sizes: { [label]: size } });
  removeManifests(job.stateDir, [label]);
  return { label, stats };
}

/** Which of the bases the target has; null: none, its own manifest follows. */
function baseOf(link: Link, bases: readonly string[]): string | null {
  const { base } = link.receiveControl(frameKinds.welcome, Welcome);
  if (base !== null && !bases.includes(base)) throw unexpectedFrame(frameKinds.welcome);
  return base;
}

type Differences = {
  root: OpenRoot;
  comparison: Comparison;
  manifest: NewManifest;
  hash: BlockHash;
  earlierBlocks: BlockListReader;
  link: Link;
  contentLimit: number;
  wholeUntil: number;
  freshBytes: number;
  final: boolean;
  poll: () => void;
  onChange: (path: string) => void;
};

function sendDifferences(d: Differences): { totals: Pick<RoundStats, 'files' | 'deleted' | 'bytes'>; digest: string } {
  const outlook = d.comparison.prepare(d.poll);
  const fresh = freshFiles(d.comparison, d);
  d.link.sendControl(frameKinds.plan, { files: outlook.files, bytes: outlook.bytes });
  const progress = (): RoundProgress => ({
    ...writer.progress,
    filesTotal: outlook.files,
    bytesTotal: outlook.bytes,
  });
  const writer = new OpWriter(d.link, () => d.link.report(progress()));
  reachBlocking('source.round.mid');
  const structure = new StructureSender(d.comparison, writer, d.poll);
  if (outlook.hasRemovals || outlook.hasMoves) structure.cutEdges();
  if (outlook.hasMoves) structure.placeEdges();
  new ContentSender({
    root: d.root,
    comparison: d.comparison,
    manifest: d.manifest,
    hash: d.hash,
    earlierBlocks: d.earlierBlocks,
    writer,
    structure: outlook.hasMoves ? null : structure,
    contentLimit: d.contentLimit,
    wholeUntil: d.wholeUntil,
    fresh,
    poll: d.poll,
    onChange: d.onChange,
  }).run();
  return { digest: writer.finish(), totals: writer.totals };
}

function newState(): SourceState {
  return {
    hashKey: BlockHash.newKey().toString('base64'),
    acknowledged: null,
    sent: null,
    entries: 0,
    sizes: {},
    contentLimit: null,
  };
}

function removeManifests(stateDir: string, keep: readonly string[]): void {
  const kept = labelsKept(stateDir, keep);
  for (const name of readdirSync(stateDir)) {
    const label = /^(.*)\.(tree|blocks|index)$/.exec(name)?.[1];
    if (label !== undefined && !kept.has(label)) rmSync(join(stateDir, name));
  }
}

function changedFile(root: string, path: string): CargoError {
  return new CargoError(
    'SOURCE_FILE_CHANGED',
    `${root}/${path} was changed during the final copy although the container is stopped: something else on the source's host writes to it. Stop that, then try again.`,
  );
}
