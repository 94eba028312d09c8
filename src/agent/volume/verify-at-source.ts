import { rmSync } from 'node:fs';
import { CargoError } from '../../api/cargo-error.ts';
import { BlockHash } from './block-hash.ts';
import { Acknowledge, Welcome } from './control-frames.ts';
import { DATA_PROTOCOL } from './format.ts';
import { frameKinds } from './frames.ts';
import { type Link, unexpectedFrame } from './link.ts';
import { Manifest, manifestPaths } from './manifest.ts';
import { HAVE, receiveOwnManifest } from './own-manifest.ts';
import { openManifest } from './partial-manifest.ts';
import { SourceState } from './send-round.ts';
import { StateFile } from './state-file.ts';
import { compareWithSent } from './verdict.ts';
import type { VerifyStats, WorkerJob } from './worker-messages.ts';

type VerifyJob = Extract<WorkerJob, { kind: 'verifyAtSource' }>;

/** The source's side of a verification: compares the target's tree with the manifest of what was sent last. */
export function verifyAtSourceInWorker(job: VerifyJob, link: Link): VerifyStats {
  const state = new StateFile(job.stateDir, 'source.json', SourceState).read();
  const label = state?.acknowledged ?? null;
  if (state === null || label === null) {
    throw new CargoError('WRONG_PHASE', 'There is nothing to verify: no round was completed.');
  }
  const { hashKey } = state;
  const { isFile } = job.root;
  link.sendControl(frameKinds.hello, {
    protocol: DATA_PROTOCOL,
    round: 0,
    final: true,
    isFile,
    hashKey,
    bases: [label],
  });
  const { base } = link.receiveControl(frameKinds.welcome, Welcome);
  if (base !== label) throw unexpectedFrame(frameKinds.welcome);
  receiveOwnManifest(job.stateDir, link);
  const verdict = compare(job.stateDir, { label, hashKey }, link);
  link.sendControl(frameKinds.verdict, verdict);
  link.receiveControl(frameKinds.acknowledge, Acknowledge);
  link.sendControl(frameKinds.bye, {});
  return verdict;
}

function compare(stateDir: string, { label, hashKey }: { label: string; hashKey: string }, link: Link): VerifyStats {
  const there = manifestPaths(stateDir, HAVE);
  try {
    using hash = new BlockHash(Buffer.from(hashKey, 'base64'));
    using sent = openManifest(stateDir, label);
    using found = new Manifest(stateDir, HAVE);
    return compareWithSent({ sent, found, hash }, () => link.throwIfStopped());
  } finally {
    rmSync(there.tree);
    rmSync(there.blocks);
  }
}
