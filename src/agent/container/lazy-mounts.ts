import { setTimeout as delay } from 'node:timers/promises';
import type { HydrationControl, StepInput, StepOutput } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
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
  isProtected,
  type LazyStatus,
  probe,
  stageVolume,
  volumeStatus,
  warmHydrator,
} from '../lazy/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { cover, isCovered, openView, restore, treeOf, uncover } from './cover.ts';
import { endUsers } from './end-users.ts';
import { Eta, tell } from './hydration-progress.ts';
import {
  type IdentityFiles,
  isWhole,
  type LazyMount,
  lazyMounts,
  lazyPlaces,
  notBegun,
  sourceOf,
} from './lazy-mount.ts';
import { LinksAhead } from './links-ahead.ts';
import { definitionOf, targetOf, updateTarget } from './records.ts';
import { shutDown } from './shut-down.ts';
import { disown, endTakenAway, isTakenAway } from './taken-away.ts';

const LOOK_MS = 500;
/** After a boot: Docker may still be clearing up after its own attempt, or something else has the port for a moment. */
const START_AGAIN_MS = 2_000;
/**
 * As long as a container may take to be well before the copy begins all the same: Docker and it sync a few small things one after the other, and
 * each would wait for what the copy has on its way to the disk.
 */
const LONGEST_REST_MS = 10_000;
/** Healthy, it still has to answer its first client. */
const AFTER_START_MS = 500;
/** Where a test may strike in the middle of the copy. */
const MIDWAY_BYTES = 2 ** 20;

/** The mounts of this host's containers whose content follows. */
export class LazyMounts {
  readonly #engine: Engine;
  /** A command that takes a process out of the agent's cgroup. */
  readonly #launcher: readonly string[];
  readonly #identity: IdentityFiles;
  /** State directories of volumes of which it is known that they can be protected here. */
  readonly #probed = new Set<string>();
  readonly #links = new LinksAhead();

  constructor(engine: Engine, launcher: readonly string[], identity: IdentityFiles) {
    this.#engine = engine;
    this.#identity = identity;
    this.#launcher = launcher;
  }

  /** Whether data of the container is still to come, or may be. */
  follows(context: StepContext): boolean {
    return lazyMounts(context).length > 0;
  }

  /**
   * Begins what takes a while and can be done while the container still runs at the source.
   * @throws CargoError BLOCKED when data can't follow to this host now
   */
  async warm(context: StepContext): Promise<{ loaded: Promise<void> }> {
    for (const { stateDir, path } of lazyPlaces(context)) {
      if (this.#probed.has(stateDir)) continue;
      probe(path);
      this.#probed.add(stateDir);
    }
    const warmed = lazyPlaces(context).map(({ stateDir, path }) => warmHydrator(stateDir, path, this.#launcher));
    const all = (await Promise.all(warmed)).map(({ loaded }) => loaded);
    return { loaded: Promise.all(all).then(() => {}) };
  }

  /** The last round is here: the list of what it left out comes next. */
  connectAhead(context: StepContext): void {
    for (const { stateDir, index } of lazyPlaces(context))
      this.#links.connect(stateDir, sourceOf(context, index, this.#identity));
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
      const { stateDir } = mount;
      const wasBegun = await hasBegun(stateDir);
      files += wasBegun ? (await volumeStatus(stateDir)).files : await this.#stage(context, mount, { bwlimit, paused });
      await this.#protectOne(mount, context.signal);
      if (wasBegun) await controlVolume(stateDir, { do: paused ? 'pause' : 'resume' });
    }
    return { files, armMs: performance.now() - began };
  }

  /**
   * After the agent or the host was started again: what is missing is protected before Docker finds the data. What is not
   * certain to have been protected all the time is suspect: see `#giveUp`.
   * @returns true when the container is to run, and Docker could not start it now either: ask again
   */
  async wake(context: StepContext): Promise<boolean> {
    const { permit, containerId, held } = targetOf(context);
    const mounts = lazyMounts(context);
    if (mounts.length === 0 || permit !== 'used' || containerId === null || held) return false;
    if (await this.#isGone(context, mounts)) return false;
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

  /** While no step does: what is missing stays protected, though its hydrator may be killed. @throws CargoError SUSPECT */
  async keepProtected(context: StepContext): Promise<void> {
    const { permit, held, lazy } = targetOf(context);
    if (permit !== 'used' || held || lazy.some(({ suspect }) => suspect)) return;
    const mounts = lazyMounts(context);
    if (mounts.length > 0 && !(await this.#isGone(context, mounts))) await this.#protectAll(context, mounts);
  }

  /**
   * Runs what may start the container and wait for it, and sees to it meanwhile that what is missing stays protected.
   * @throws CargoError WRONG_PHASE, SUSPECT
   */
  async guard<T>(context: StepContext, work: (context: StepContext) => Promise<T>): Promise<T> {
    await this.protect(context);
    const [over, failed] = [new AbortController(), new AbortController()];
    const watching = this.#watch(context, over.signal).catch((thrown: unknown) => failed.abort(thrown));
    try {
      return await work({ ...context, signal: AbortSignal.any([context.signal, failed.signal]) });
    } catch (thrown) {
      over.abort();
      await watching;
      failed.signal.throwIfAborted();
      throw thrown;
    } finally {
      over.abort();
      await watching;
    }
  }

  /** What is to follow must have been armed, and is protected on return. @throws CargoError WRONG_PHASE, SUSPECT */
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

  /**
   * Returns when all content is here and nothing of the engine is left.
   * @throws CargoError SUSPECT, TARGET_REMOVED; WRONG_PHASE before the server has said that the container may run after a boot
   */
  async hydrate(context: StepContext): Promise<StepOutput<'hydrate'>> {
    if (targetOf(context).held) {
      throw new CargoError(
        'WRONG_PHASE',
        'this host was started again: the container is held until the server is heard',
      );
    }
    const mounts = lazyMounts(context);
    let isOwed = await this.wake(context);
    await this.#restFor(mounts, AFTER_START_MS);
    let triedAt = performance.now();
    let statuses: LazyStatus[];
    const eta = new Eta();
    for (;;) {
      if (await isTakenAway(this.#engine, context)) throw await endTakenAway(this.#engine, context, mounts);
      await this.#protectAll(context, mounts);
      if (isOwed && performance.now() - triedAt > START_AGAIN_MS) {
        isOwed = await this.wake(context);
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
      await finishVolume(stateDir, context.signal, this.#launcher);
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
    if (targetOf(context).whole === null) await disown(context, lazyMounts(context));
    const mounts = lazyMounts(context);
    for (const { stateDir } of lazyPlaces(context)) {
      coolHydrator(stateDir);
      this.#links.close(stateDir);
      this.#probed.delete(stateDir);
    }
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
  async #restFor(mounts: readonly LazyMount[], forMs: number): Promise<void> {
    for (const { stateDir } of mounts) await controlVolume(stateDir, { do: 'rest', forMs }).catch(() => {});
  }

  /** Protection doesn't wait for Docker: it is asked only where nobody finds the data. */
  async #isGone(context: StepContext, mounts: readonly LazyMount[]): Promise<boolean> {
    if (targetOf(context).lazy.some(({ takenAway }) => takenAway)) return true;
    return !mounts.every(({ cover: place }) => isCovered(place)) && (await isTakenAway(this.#engine, context));
  }

  /** Until it is over. @throws CargoError SUSPECT; what else fails is tried again */
  async #watch(context: StepContext, over: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([context.signal, over]);
    for (;;) {
      await delay(LOOK_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#protectAll(context, lazyMounts(context));
      } catch (thrown) {
        if (CargoError.from(thrown).code === 'SUSPECT') throw thrown;
        context.log.warn({ err: thrown }, 'what is missing could not be seen to be protected');
      }
    }
  }

  async #protectAll(context: StepContext, mounts: readonly LazyMount[]): Promise<void> {
    if (targetOf(context).lazy.some(({ suspect }) => suspect)) throw await this.#giveUp(context, mounts, '');
    for (const mount of mounts) {
      try {
        await openView(mount.cover);
        await this.#protectOne(mount, context.signal);
      } catch (thrown) {
        const { code, message } = CargoError.from(thrown);
        if (code === 'SUSPECT') throw await this.#giveUp(context, mounts, message);
        throw thrown;
      }
    }
  }

  async #protectOne({ stateDir, cover: place }: LazyMount, signal: AbortSignal): Promise<void> {
    if (!(await isProtected(stateDir))) await armVolume(stateDir, this.#launcher, signal);
    cover(place);
  }

  /**
   * Content was missing and nothing protected it: the container may have read zeros. It is stopped at once, and stays so:
   * Docker doesn't find its data, and the gate is closed.
   */
  async #giveUp(context: StepContext, mounts: readonly LazyMount[], reason: string): Promise<CargoError> {
    await updateTarget(context, ({ lazy }) => ({ lazy: lazy.map((known) => ({ ...known, suspect: true })) }));
    for (const { cover: place } of mounts) uncover(place);
    const { containerId, permit } = targetOf(context);
    if (containerId !== null) await shutDown(this.#engine, containerId, context);
    await this.#endUsers(context, mounts);
    const { name } = definitionOf(context);
    const why = reason === '' ? '' : `: ${reason}`;
    if (permit === 'unused') {
      return new CargoError('MIGRATION_FAILED', `nothing protected the data that ${name} was to start with${why}`);
    }
    return new CargoError('SUSPECT', `${name} was stopped, for it may have seen wrong data${why}`);
  }

  #endUsers(context: StepContext, mounts: readonly LazyMount[]): Promise<void> {
    return endUsers(
      this.#engine,
      mounts.map(({ cover: place }) => place),
      context.signal,
    );
  }

  async #stage(
    context: StepContext,
    { stateDir, cover, mount }: LazyMount,
    control: HydrationControl,
  ): Promise<number> {
    const staged = await stageVolume({
      ...{ path: treeOf(cover), stateDir, ...control, restForMs: LONGEST_REST_MS, waitLimitMs: null },
      ...{ isProbed: this.#probed.delete(stateDir), link: this.#links.take(stateDir), signal: context.signal },
      source: sourceOf(context, mount.index, this.#identity),
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

function isMidway({ bytesFetched, bytesMissing }: LazyStatus): boolean {
  return bytesFetched >= MIDWAY_BYTES && bytesMissing > 0;
}
