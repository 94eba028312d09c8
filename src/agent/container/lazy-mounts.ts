import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { HydrationControl, StepInput, StepOutput } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import type { DataMount } from '../../api/container-definition.ts';
import type { VolumeHydration } from '../../api/migration.ts';
import { reach } from '../../faults/reach.ts';
import type { Engine } from '../docker/index.ts';
import {
  armVolume,
  controlVolume,
  coolHydrator,
  dropVolume,
  finishVolume,
  forgetVolume,
  hasBegun,
  type LazyStatus,
  stageVolume,
  volumeStatus,
  warmHydrator,
} from '../lazy/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { receivedRound } from '../volume/index.ts';
import { type Cover, cover, coverOf, openView, restore, treeOf, uncover } from './cover.ts';
import { endUsers } from './end-users.ts';
import { definitionOf, type Target, targetOf, updateTarget } from './records.ts';
import { shutDown } from './shut-down.ts';
import { endTakenAway, isTakenAway } from './taken-away.ts';

const LOOK_MS = 500;
const SHORTEST_LOOK_MS = 50;
/** After a boot: Docker may still be clearing up after its own attempt, or something else has the port for a moment. */
const START_AGAIN_MS = 2_000;
/** A container that starts syncs a few small things one after the other, and each would wait for what the copy has on its way to the disk. */
const LONGEST_START_MS = 60_000;
/** Healthy, it still has to answer its first client. */
const AFTER_START_MS = 500;
/** Where a test may strike in the middle of the copy. */
const MIDWAY_BYTES = 2 ** 20;

/** Where the agent keeps who it is, and whom it knows to be removed: the hydrators read both. */
export type IdentityFiles = { identity: string; trust: string };

/** One mount whose content follows, on the target. */
type LazyMount = { mount: DataMount; cover: Cover; stateDir: string };

/** The mounts of this host's containers whose content follows. */
export class LazyMounts {
  readonly #engine: Engine;
  /** A command that takes a process out of the agent's cgroup. */
  readonly #launcher: readonly string[];
  readonly #identity: IdentityFiles;

  constructor(engine: Engine, launcher: readonly string[], identity: IdentityFiles) {
    this.#engine = engine;
    this.#identity = identity;
    this.#launcher = launcher;
  }

  /** What takes a while and can be done while the container still runs at the source. */
  async warm(context: StepContext): Promise<void> {
    for (const stateDir of lazyDirectories(context)) await warmHydrator(stateDir, this.#launcher);
  }

  /** Protects what is missing, then lets Docker find the data. Idempotent, also after a crash at any moment. */
  async arm(context: StepContext, { bwlimit, paused }: StepInput<'arm'>): Promise<StepOutput<'arm'>> {
    const began = performance.now();
    const lazy = definitionOf(context).mounts.filter(({ strategy }) => strategy === 'lazy');
    await updateTarget(context, (target) => ({
      lazy: lazy.map(({ index }) => target.lazy.find((known) => known.index === index) ?? notBegun(index)),
    }));
    let files = 0;
    for (const mount of lazyMounts(context)) {
      await openView(mount.cover);
      files += await this.#stage(context, mount, bwlimit);
      await this.#protect(mount, context.signal);
      await controlVolume(mount.stateDir, { do: 'gentle', forMs: LONGEST_START_MS });
      await controlVolume(mount.stateDir, { do: paused ? 'pause' : 'resume' });
    }
    return { files, armMs: performance.now() - began };
  }

  /**
   * After the agent or the host was started again: what is missing is protected before Docker finds the data. What is not
   * certain to have been protected all the time is suspect: see `#giveUp`.
   */
  async wake(context: StepContext): Promise<void> {
    await this.#wake(context);
  }

  /** True when the container is to run, and Docker could not start it now either. */
  async #wake(context: StepContext): Promise<boolean> {
    const { permit, containerId } = targetOf(context);
    const mounts = lazyMounts(context);
    if (mounts.length === 0 || permit !== 'used' || containerId === null) return false;
    if (targetOf(context).lazy.some(({ takenAway }) => takenAway)) return false;
    await this.#protectAll(context, mounts);
    try {
      const inspect = await this.#engine.findContainer(containerId, context.signal);
      // Docker notes with the container that it, or somebody, tried to start it in vain.
      const wanted = inspect !== null && !inspect.State.Running && inspect.State.Error !== '';
      if (wanted) await this.#engine.start(containerId, context.signal);
      return false;
    } catch (error) {
      context.signal.throwIfAborted();
      context.log.warn({ err: error }, 'a container that Docker could not start does not start now either');
      return true;
    }
  }

  /**
   * Before a start: what is to follow must have been armed, and be protected now.
   * @throws CargoError WRONG_PHASE, SUSPECT
   */
  async protect(context: StepContext): Promise<void> {
    const { outcomes } = context.record();
    const isLazy = definitionOf(context).mounts.some(({ strategy }) => strategy === 'lazy');
    if (isLazy && outcomes['arm']?.state !== 'done') {
      throw new CargoError(
        'WRONG_PHASE',
        'data of this container is still missing and nothing protects it: arm comes first',
      );
    }
    await this.#protectAll(context, lazyMounts(context));
  }

  /** Returns when all content is here and nothing of the engine is left. @throws CargoError SUSPECT, TARGET_REMOVED */
  async hydrate(context: StepContext): Promise<StepOutput<'hydrate'>> {
    const mounts = lazyMounts(context);
    let isOwed = await this.#wake(context);
    await this.#copyGently(mounts, AFTER_START_MS);
    let triedAt = performance.now();
    let statuses: LazyStatus[];
    const eta = new Eta();
    for (;;) {
      if (await isTakenAway(this.#engine, context)) throw await endTakenAway(this.#engine, context, mounts);
      await this.#protectAll(context, mounts);
      if (isOwed && performance.now() - triedAt > START_AGAIN_MS) {
        isOwed = await this.#wake(context);
        triedAt = performance.now();
      }
      statuses = await Promise.all(mounts.map(({ stateDir }) => volumeStatus(stateDir)));
      tell(context, mounts, statuses);
      if (statuses.every(({ phase }) => phase === 'finished')) break;
      if (statuses.some(isMidway)) await reach('target.hydrate.mid');
      const missing = statuses.reduce((sum, { bytesMissing }) => sum + bytesMissing, 0);
      await delay(Math.min(eta.next(missing), LOOK_MS), undefined, { signal: context.signal });
    }
    for (const { stateDir, cover: place } of mounts) {
      await finishVolume(stateDir, context.signal);
      await restore(place);
    }
    await updateTarget(context, () => ({ lazy: [] }));
    await this.#forget(context, mounts);
    return { files: statuses.reduce((sum, { files }) => sum + files, 0) };
  }

  /** @throws CargoError WRONG_PHASE */
  async control(context: StepContext, { bwlimit, paused }: HydrationControl): Promise<void> {
    const mounts = lazyMounts(context);
    if (mounts.length === 0) throw new CargoError('WRONG_PHASE', 'no data of this migration follows any more');
    for (const { stateDir } of mounts) {
      await armVolume(stateDir, this.#launcher);
      if ((await volumeStatus(stateDir)).phase === 'finished') continue;
      await controlVolume(stateDir, { do: 'bwlimit', bytesPerSecond: bwlimit });
      await controlVolume(stateDir, { do: paused ? 'pause' : 'resume' });
    }
  }

  /**
   * The container has ended, and is about to be removed or put away: nobody else goes on with data that isn't whole. Whether it
   * is, is noted (`whole`): what is missing will never come.
   */
  async drop(context: StepContext): Promise<void> {
    const mounts = lazyMounts(context);
    for (const stateDir of lazyDirectories(context)) coolHydrator(stateDir);
    // Written down once: a repeated call finds less of the engine than the first.
    const whole = targetOf(context).whole ?? !(await Promise.all(mounts.map(isWhole))).includes(false);
    await updateTarget(context, () => ({ whole }));
    for (const { cover: place } of mounts) uncover(place);
    if (!whole) await this.#endUsers(context, mounts);
    for (const { stateDir, cover: place } of mounts) {
      await dropVolume(stateDir);
      await restore(place);
    }
    await this.#forget(context, mounts);
    if (mounts.length > 0) await updateTarget(context, () => ({ lazy: [] }));
  }

  /** Nothing is wrong with one that is through, or has no hydrator: that is found where it matters. */
  async #copyGently(mounts: readonly LazyMount[], forMs: number): Promise<void> {
    for (const { stateDir } of mounts) await controlVolume(stateDir, { do: 'gentle', forMs }).catch(() => {});
  }

  async #protectAll(context: StepContext, mounts: readonly LazyMount[]): Promise<void> {
    if (targetOf(context).lazy.some(({ suspect }) => suspect)) throw await this.#giveUp(context, mounts, '');
    for (const mount of mounts) {
      try {
        await openView(mount.cover);
        await this.#protect(mount, context.signal);
      } catch (thrown) {
        const { code, message } = CargoError.from(thrown);
        if (code === 'SUSPECT') throw await this.#giveUp(context, mounts, message);
        throw thrown;
      }
    }
  }

  async #protect({ stateDir, cover: place }: LazyMount, signal: AbortSignal): Promise<void> {
    await armVolume(stateDir, this.#launcher, signal);
    cover(place);
  }

  /**
   * Content was missing and nothing protected it: the container may have read zeros. It is stopped at once, and stays so:
   * Docker doesn't find its data, and the gate is closed.
   */
  async #giveUp(context: StepContext, mounts: readonly LazyMount[], reason: string): Promise<CargoError> {
    await updateTarget(context, ({ lazy }) => ({ lazy: lazy.map((known) => ({ ...known, suspect: true })) }));
    for (const { cover: place } of mounts) uncover(place);
    const { containerId } = targetOf(context);
    if (containerId !== null) await shutDown(this.#engine, containerId, context);
    await this.#endUsers(context, mounts);
    const { name } = definitionOf(context);
    const why = reason === '' ? '' : `: ${reason}`;
    return new CargoError('SUSPECT', `${name} was stopped, for it may have seen wrong data${why}`);
  }

  #endUsers(context: StepContext, mounts: readonly LazyMount[]): Promise<void> {
    return endUsers(
      this.#engine,
      mounts.map(({ cover: place }) => place),
      context.signal,
    );
  }

  async #stage(context: StepContext, mount: LazyMount, bwlimit: number | null): Promise<number> {
    const { stateDir, cover: place } = mount;
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    if (await hasBegun(stateDir)) return (await volumeStatus(stateDir)).files;
    const { index } = mount.mount;
    const { migrationId } = context;
    const { peer } = context.record();
    if (peer === null || peer.address === null) throw new CargoError('WRONG_PHASE', 'the source is not known here');
    const staged = await stageVolume({
      ...{ path: treeOf(place), stateDir, bwlimit, waitLimitMs: null, signal: context.signal },
      source: {
        kind: 'agent',
        address: peer.address,
        hostId: peer.hostId,
        migrationId,
        mountIndex: index,
        round: receivedRound(join(context.directory, `mount-${index}`)),
        ...this.#identity,
      },
    });
    return staged.files;
  }

  async #forget(context: StepContext, mounts: readonly LazyMount[]): Promise<void> {
    for (const mount of mounts) {
      await forgetVolume(mount.stateDir).catch((error: unknown) => {
        context.log.warn({ err: error }, 'what the hydrator kept could not be removed');
      });
    }
  }
}

async function isWhole({ stateDir }: LazyMount): Promise<boolean> {
  return (await hasBegun(stateDir)) && (await volumeStatus(stateDir)).phase === 'finished';
}

/** When all will be here if it goes on as since the last look. */
class Eta {
  #last = { missing: 0, at: performance.now() };

  /** Milliseconds from now. */
  next(missing: number): number {
    const at = performance.now();
    const came = this.#last.missing - missing;
    const milliseconds = came > 0 ? (missing * (at - this.#last.at)) / came : Number.POSITIVE_INFINITY;
    this.#last = { missing, at };
    return missing === 0 ? SHORTEST_LOOK_MS : Math.max(SHORTEST_LOOK_MS, milliseconds);
  }
}

function isMidway({ bytesFetched, bytesMissing }: LazyStatus): boolean {
  return bytesFetched >= MIDWAY_BYTES && bytesMissing > 0;
}

function notBegun(index: number): Target['lazy'][number] {
  return { index, suspect: false, takenAway: false };
}

function lazyDirectory(context: StepContext, index: number): string {
  return join(context.directory, `lazy-${index}`);
}

function lazyDirectories(context: StepContext): string[] {
  const mounts = context.record().definition?.mounts ?? [];
  return mounts.filter(({ strategy }) => strategy === 'lazy').map(({ index }) => lazyDirectory(context, index));
}

function lazyMounts(context: StepContext): LazyMount[] {
  const { lazy, mountPaths } = targetOf(context);
  if (lazy.length === 0) return [];
  const { mounts } = definitionOf(context);
  return lazy.map(({ index }) => {
    const mount = mounts.find((candidate) => candidate.index === index);
    const path = mountPaths.find((candidate) => candidate.index === index)?.path;
    if (mount === undefined || path === undefined) throw new CargoError('INTERNAL', `mount ${index} was not staged`);
    return {
      mount,
      cover: coverOf(path, context.migrationId, index),
      stateDir: lazyDirectory(context, index),
    };
  });
}

function tell(context: StepContext, mounts: readonly LazyMount[], statuses: readonly LazyStatus[]): void {
  const hydration = statuses.map((status, at): VolumeHydration => {
    const { files, filesDone, bytesMissing, bytesFetched, waiting, waits, denied, p50Ms, p99Ms, trouble } = status;
    return {
      ...{ files, bytesMissing, bytesFetched, waiting, waits, denied, p50Ms, p99Ms, trouble },
      name: mounts[at]?.mount.name ?? '',
      filesMissing: files - filesDone,
      sourceAway: status.sourceAway?.reason ?? null,
    };
  });
  const total = (of: (volume: VolumeHydration) => number): number => hydration.reduce((sum, one) => sum + of(one), 0);
  const away = hydration.find(({ sourceAway }) => sourceAway !== null)?.sourceAway;
  context.report({
    activity:
      away === undefined
        ? 'the container runs at the target; its data follows'
        : `the container runs at the target; the source can't be reached, what is missing is waited for: ${away}`,
    filesDone: total(({ files, filesMissing }) => files - filesMissing),
    filesTotal: total(({ files }) => files),
    bytesDone: total(({ bytesFetched }) => bytesFetched),
    bytesTotal: total(({ bytesFetched, bytesMissing }) => bytesFetched + bytesMissing),
    hydration,
  });
}
