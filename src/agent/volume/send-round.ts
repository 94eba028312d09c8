import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { reachBlocking } from '../../faults/reach.ts';
import { BlockHash } from './block-hash.ts';
import { Comparison } from './comparison.ts';
import { ContentSender } from './content-sender.ts';
import { Acknowledge, HashKey, Welcome } from './control-frames.ts';
import { DATA_PROTOCOL } from './format.ts';
import { frameKinds } from './frames.ts';
import { type Link, unexpectedFrame } from './link.ts';
import { Manifest, NewManifest } from './manifest.ts';
import { OpWriter } from './op-writer.ts';
import { OpenRoot } from './open-root.ts';
import { HAVE, receiveOwnManifest } from './own-manifest.ts';
import { scanTree } from './scanner.ts';
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
});

/** The source's side of a round, start to end. */
export function sendRoundInWorker(job: SendJob, link: Link): RoundStats {
  using root = OpenRoot.open(job.root);
  const state = new StateFile(job.stateDir, 'source.json', SourceState);
  const { hashKey, acknowledged, sent, entries } = state.read() ?? newState();
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
  const { contentLimit = Number.MAX_SAFE_INTEGER } = job;
  const label = randomUUID();
  using manifest = new NewManifest(job.stateDir, label, entries * 1.1);
  const poll = (): void => link.throwIfStopped();
  const onChange = (path: string): void => {
    if (job.final) throw changedFile(root.path, path);
  };
  const total = scanTree({ root, ...manifest.tree, poll, onChange });
  if (root.only !== null && total.files === 0) throw missingFile(root.path);

  const { base } = link.receiveControl(frameKinds.welcome, Welcome);
  if (base === null) receiveOwnManifest(job.stateDir, link);
  else if (!bases.includes(base)) throw unexpectedFrame(frameKinds.welcome);
  using earlier = new Manifest(job.stateDir, base ?? HAVE);
  const comparison = new Comparison(earlier.tree, manifest.tree, {
    byName: base === null || job.root.isFile,
    trustSignatures: base !== null,
    contentLimit,
  });
  const result = sendDifferences({
    root,
    comparison,
    manifest,
    hash,
    earlier,
    link,
    contentLimit,
    poll,
    onChange,
  });

  manifest.flush(true);
  state.write({ hashKey, acknowledged: base, sent: label, entries: total.files });
  const stats = { ...result.totals, totalFiles: total.files, totalBytes: total.bytes };
  link.sendControl(frameKinds.end, { state: label, digest: result.digest, ...stats });
  const { state: reached } = link.receiveControl(frameKinds.acknowledge, Acknowledge);
  if (reached !== label) throw unexpectedFrame(frameKinds.acknowledge);
  link.sendControl(frameKinds.bye, {});
  state.write({ hashKey, acknowledged: label, sent: label, entries: total.files });
  removeManifests(job.stateDir, [label]);
  return stats;
}

type Differences = {
  root: OpenRoot;
  comparison: Comparison;
  manifest: NewManifest;
  hash: BlockHash;
  earlier: Manifest;
  link: Link;
  contentLimit: number;
  poll: () => void;
  onChange: (path: string) => void;
};

function sendDifferences(d: Differences): { totals: Pick<RoundStats, 'files' | 'deleted' | 'bytes'>; digest: string } {
  const outlook = d.comparison.prepare(d.poll);
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
    earlierBlocks: d.earlier.blocks,
    writer,
    structure: outlook.hasMoves ? null : structure,
    contentLimit: d.contentLimit,
    poll: d.poll,
    onChange: d.onChange,
  }).run();
  return { digest: writer.finish(), totals: writer.totals };
}

function newState(): z.infer<typeof SourceState> {
  return { hashKey: BlockHash.newKey().toString('base64'), acknowledged: null, sent: null, entries: 0 };
}

function removeManifests(stateDir: string, keep: readonly string[]): void {
  for (const name of readdirSync(stateDir)) {
    const label = /^(.*)\.(tree|blocks)$/.exec(name)?.[1];
    if (label !== undefined && !keep.includes(label)) rmSync(join(stateDir, name));
  }
}

function changedFile(root: string, path: string): CargoError {
  return new CargoError(
    'SOURCE_FILE_CHANGED',
    `${root}/${path} was changed during the final copy although the container is stopped: something else on the source's host writes to it. Stop that, then try again.`,
  );
}

function missingFile(path: string): CargoError {
  return new CargoError('NOT_FOUND', `There is no file ${path} to copy.`);
}
