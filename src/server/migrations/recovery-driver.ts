import { setTimeout as delay } from 'node:timers/promises';
import type { StepOutput } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import type { Recovery } from '../../api/migration.ts';
import { AFTERWARDS, type DriverPorts, type Hands, ON_THE_WAY_BACK, removed, type StepLimits } from './hands.ts';

/** Between tries to fence a host that is heard. */
const RECHECK_MS = 1_000;

/** One side was given up by an operator. Decided before, for ever; the lost side is fenced whenever it is heard. */
export class RecoveryDriver {
  readonly #ports: DriverPorts;
  readonly #hands: Hands;

  constructor(ports: DriverPorts, hands: Hands) {
    this.#ports = ports;
    this.#hands = hands;
  }

  async run(recovery: Recovery): Promise<void> {
    if (recovery.at === 'target') return this.#goOnAtTarget(recovery);
    const { phase, source, target, sourceId, targetId } = await this.#hands.get();
    const isFirst = phase !== 'recovered';
    const fenced = isFirst ? await this.#fenceIfHeard() : null;
    if (isFirst) {
      await this.#hands.atSource('thaw', 'thaw', {}, ON_THE_WAY_BACK);
      const rest = fenced === null ? `; ${target} is fenced as soon as it is heard` : '';
      await this.#hands.update({
        phase: 'recovered',
        activity: `recovered: the container is on ${source}${rest}`,
        undoing: null,
        targetContainerId: null,
        movedAs: null,
        leftAtSource: [],
      });
    }
    const { keptAs } = fenced ?? (await this.#fence(AFTERWARDS));
    const left = keptAs === null ? 'nothing of it is left there' : `its copy is kept there, stopped, as ${keptAs}`;
    await this.#hands.update({
      recovery: { ...recovery, fenced: true, keptAs },
      forgetting: [sourceId, targetId],
      activity: `recovered: the container is on ${source}; ${target} has learned it, ${left}`,
    });
    await this.#hands.forget();
  }

  async #goOnAtTarget(recovery: Recovery): Promise<void> {
    const { source, target } = await this.#hands.get();
    const home = `recovered: the container goes on at ${target}`;
    await this.#hands.update({ phase: 'recovered', activity: `${home}; ${source} is let go as soon as it is heard` });
    await this.#hands.atTarget('finish', 'finish', {}, AFTERWARDS);
    const { sourceId, targetId, leftAtSource, movedAs } = await this.#hands.get();
    await this.#hands.atSource('release', 'release', { cleanup: false }, AFTERWARDS);
    await this.#ports.migrations.keepBases(sourceId, leftAtSource);
    await this.#hands.update({
      recovery: { ...recovery, fenced: true, keptAs: movedAs },
      forgetting: [sourceId, targetId],
      activity: `${home}; ${source} has learned it, its copy is kept there, stopped, as ${movedAs}`,
    });
    await this.#hands.forget();
  }

  /**
   * A host that can be heard isn't lost: it is fenced before anything else runs. Only of one that is silent the
   * operator's word must do.
   */
  async #fenceIfHeard(): Promise<StepOutput<'fence'> | null> {
    for (;;) {
      try {
        return await this.#fence({ patienceMs: 0, uncancellable: true });
      } catch (thrown) {
        this.#hands.shutdown.throwIfAborted();
        const error = CargoError.from(thrown);
        if (removed.has(error.code)) return null;
        const { target, targetId, epoch } = await this.#hands.get();
        const { status } = await this.#ports.hosts.get(targetId);
        if (error.code === 'AGENT_UNREACHABLE' && status === 'away') return null;
        const activity = `waiting: ${target} is still heard and must be fenced first: ${error.message}`;
        await this.#hands.update({ epoch: epoch + 1, activity });
        await delay(RECHECK_MS, undefined, { signal: this.#hands.shutdown });
      }
    }
  }

  async #fence(limits: StepLimits): Promise<StepOutput<'fence'>> {
    return this.#hands.atTarget('fence', 'fence', { lostTo: (await this.#hands.get()).source }, limits);
  }
}
