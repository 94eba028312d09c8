import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { reachBlocking } from '../../faults/reach.ts';
import { isErrno } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import { syncFilesystem } from '../../linux/sync.ts';
import { Applier } from './applier.ts';
import { BlockHash } from './block-hash.ts';
import { End, Hello, RoundPlan } from './control-frames.ts';
import { DATA_PROTOCOL } from './format.ts';
import { frameKinds } from './frames.ts';
import { type Link, parseControl, unexpectedFrame } from './link.ts';
import { OpenRoot } from './open-root.ts';
import { sendOwnManifest } from './own-manifest.ts';
import { Stash } from './stash.ts';
import { StateFile } from './state-file.ts';
import type { RoundStats, WorkerJob } from './worker-messages.ts';

type ReceiveJob = Extract<WorkerJob, { kind: 'receive' }>;

/** There only while the tree is exactly what the source acknowledged under that name. */
export const TargetState = z.object({ state: z.string(), entries: z.int(), root: z.string() });

/** The target's side of a round, start to end. */
export function receiveRoundInWorker(job: ReceiveJob, link: Link): RoundStats {
  using root = OpenRoot.open(job.root);
  const hello = link.receiveControl(frameKinds.hello, Hello);
  if (hello.protocol !== DATA_PROTOCOL || hello.round !== job.round || hello.isFile !== job.root.isFile) {
    throw new CargoError('PROTOCOL_ERROR', 'The other agent speaks of another transfer than this one.');
  }
  using hash = new BlockHash(Buffer.from(hello.hashKey, 'base64'));
  const state = new StateFile(job.stateDir, 'target.json', TargetState);
  const known = state.read();
  using stash = new Stash(root);
  const agreed = known !== null && hello.bases.includes(known.state) && known.root === signature(root) ? known : null;
  link.sendControl(frameKinds.welcome, { base: agreed?.state ?? null });
  if (agreed === null) stash.removeLeftover();
  const onChange = (path: string): void => {
    throw new CargoError('MIGRATION_FAILED', `${root.path}/${path} was changed by somebody else during the transfer.`);
  };
  const entries = agreed?.entries ?? sendOwnManifest({ stateDir: job.stateDir, root, hash, link, onChange });
  const plan = link.receiveControl(frameKinds.plan, RoundPlan);

  state.remove();
  const report = (done: { filesDone: number; bytesDone: number }): void =>
    link.report({ ...done, filesTotal: plan.files, bytesTotal: plan.bytes });
  report({ filesDone: 0, bytesDone: 0 });
  const applier = new Applier({ root, stash, hash }, report);
  const end = applyAll(applier, link);
  applier.finish();
  compareTotals(end, applier, entries);
  syncFilesystem(root.fd);
  state.write({ state: end.state, entries: end.totalFiles, root: signature(root) });
  link.sendControl(frameKinds.acknowledge, { state: end.state });
  const { files, deleted, bytes, totalFiles, totalBytes } = end;
  return { files, deleted, bytes, totalFiles, totalBytes };
}

/** So many entries are left to the page cache before the disk is set to work. */
const DIRTY_ENTRIES = 8192;

function applyAll(applier: Applier, link: Link): z.infer<typeof End> {
  using _ = applier;
  let toldOf = 0;
  while (true) {
    const frame = link.receive();
    if (frame.kind === frameKinds.end) return parseControl(frame, End);
    if (frame.kind !== frameKinds.ops) throw unexpectedFrame(frame.kind);
    applier.apply(frame.ops, frame.data, () => link.throwIfStopped());
    reachBlocking('target.round.mid');
    link.release(frame);
    if (applier.totals.files - toldOf < DIRTY_ENTRIES) continue;
    toldOf = applier.totals.files;
    link.reportDirty();
  }
}

function compareTotals(end: z.infer<typeof End>, applier: Applier, entriesBefore: number): void {
  const { files, deleted, bytes } = applier.totals;
  const isSame =
    end.digest === applier.digest() &&
    end.files === files &&
    end.deleted === deleted &&
    end.bytes === bytes &&
    end.totalFiles === entriesBefore + applier.entriesAdded;
  if (!isSame) {
    throw new CargoError('CHECKSUM_MISMATCH', 'What arrived is not what was sent; the next try compares everything.', {
      details: { sent: end, applied: { ...applier.totals, entries: entriesBefore + applier.entriesAdded } },
    });
  }
}

/** Changes when somebody else works in the tree's root, as Docker does when it fills an empty volume. */
function signature(root: OpenRoot): string {
  try {
    const s = root.only === null ? new Stat().readFd(root.fd) : new Stat().readAt(root.fd, root.only);
    return [s.inodeLow, s.inodeHigh, s.ctimeSeconds, s.ctimeNanoseconds, s.mtimeSeconds, s.mtimeNanoseconds].join(' ');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 'missing';
    throw error;
  }
}
