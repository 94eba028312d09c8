import { CargoError } from '../../api/cargo-error.ts';
import { BlockHash } from './block-hash.ts';
import { Hello, Verdict } from './control-frames.ts';
import { DATA_PROTOCOL } from './format.ts';
import { frameKinds } from './frames.ts';
import type { Link } from './link.ts';
import { OpenRoot } from './open-root.ts';
import { sendOwnManifest } from './own-manifest.ts';
import { TargetState } from './receive-round.ts';
import { StateFile } from './state-file.ts';
import type { VerifyStats, WorkerJob } from './worker-messages.ts';

type VerifyJob = Extract<WorkerJob, { kind: 'verifyAtTarget' }>;

/**
 * The target's side of a verification: reads and hashes what nobody has changed since the last round, and lets the
 * source compare. The tree may be in use. What was changed since is known by its ctime, which nobody can set.
 */
export function verifyAtTargetInWorker(job: VerifyJob, link: Link): VerifyStats {
  using root = OpenRoot.open(job.root);
  const hello = link.receiveControl(frameKinds.hello, Hello);
  if (hello.protocol !== DATA_PROTOCOL || hello.isFile !== job.root.isFile) {
    throw new CargoError('PROTOCOL_ERROR', 'The other agent speaks of another transfer than this one.');
  }
  using hash = new BlockHash(Buffer.from(hello.hashKey, 'base64'));
  const state = new StateFile(job.stateDir, 'target.json', TargetState);
  const known = state.read();
  const copiedAt = state.writtenAt();
  if (known === null || copiedAt === null || !hello.bases.includes(known.state)) {
    throw new CargoError('WRONG_PHASE', 'There is nothing to verify: the last round of copying was not completed.');
  }
  link.sendControl(frameKinds.welcome, { base: known.state });
  const copiedSeconds = Number(copiedAt / 1_000_000_000n);
  const copiedNanoseconds = Number(copiedAt % 1_000_000_000n);
  sendOwnManifest({
    stateDir: job.stateDir,
    root,
    hash,
    link,
    onChange: () => {},
    changedSince: ({ ctimeSeconds, ctimeNanoseconds }) =>
      ctimeSeconds > copiedSeconds || (ctimeSeconds === copiedSeconds && ctimeNanoseconds > copiedNanoseconds),
  });
  const verdict = link.receiveControl(frameKinds.verdict, Verdict);
  link.sendControl(frameKinds.acknowledge, { state: known.state });
  return verdict;
}
