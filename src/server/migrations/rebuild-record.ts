import type { AgentRecord } from '../../api/agent-records.ts';
import { agentSteps } from '../../api/agent-steps.ts';
import { type Failure, type Migration, openPhases, type Phase, type Round } from '../../api/migration.ts';
import type { StoredMigration } from './record.ts';
import { addSwitchTimes } from './switch-times.ts';

/** What both hosts of a migration said; null: the host answered that it has no record of it. */
export type Witnesses = { source: AgentRecord | null; target: AgentRecord | null };

/** How a migration stands by what its hosts have done. */
export type Verdict =
  | { is: 'forward'; phase: 'staging' | 'switching' }
  | { is: 'back'; phase: 'staging' | 'switching'; why: Failure }
  | { is: 'clearing' | 'rolled-back' | 'recovered' | 'copied' | 'over' }
  | { is: 'completed'; cleanedUp: boolean }
  | { is: 'unclear'; reason: string };

const order: readonly Phase[] = ['planned', 'staging', 'switching', 'hydrating', 'copied', 'completed'];

/**
 * Concludes from the records alone, which were read after both agents had promised to obey no older server: nothing that
 * is concluded here can be made untrue by one. Where the target may have been told to start, it counts as told.
 */
export function verdictOn({ source, target }: Witnesses): Verdict {
  const permit = target?.target?.permit ?? null;
  const hasStarted = permit === 'used' && target?.outcomes['start']?.state === 'done';
  if (source?.source == null) return withoutSource(permit, hasStarted);
  const { frozen, released } = source.source;
  const isThawed = source.outcomes['thaw'] !== undefined;
  // Nothing but an operator's word thaws the source of a container that the target may have started.
  if (isThawed && permit === 'used') return { is: 'recovered' };
  if (isThawed && hasAny(target, ['fence'])) return { is: 'rolled-back' };
  if (permit === null) {
    if (released) return { is: 'completed', cleanedUp: source.outcomes['release-cleanup']?.state === 'done' };
    if (isThawed && frozen === null) return { is: 'rolled-back' };
    if (frozen !== null) return { is: 'unclear', reason: 'the source is frozen, and the target has lost its record' };
    return { is: 'forward', phase: 'staging' };
  }
  if (released) return { is: 'copied' };
  const isFrozen = frozen !== null || source.outcomes['freeze']?.state === 'done';
  const phase = isFrozen || permit === 'used' ? 'switching' : 'staging';
  if (hasStarted) return { is: 'forward', phase: 'switching' };
  const goesBack = isThawed || permit === 'refused' || hasAny(target, ['refuse', 'abandon']);
  const failed = target?.outcomes['start']?.error ?? (isFrozen ? null : source.outcomes['freeze']?.error) ?? null;
  if (goesBack || failed !== null) return { is: 'back', phase, why: failed ?? wasGoingBack };
  return { is: 'forward', phase };
}

/**
 * The same of a migration that the Store knows nothing of. Forward it goes only where the target has been told by a server
 * what is to run there: the word of one host alone makes nothing run on another.
 */
export function verdictOnUnknown(witnesses: Witnesses): Verdict {
  const verdict = verdictOn(witnesses);
  const isVouchedFor = witnesses.target?.definition != null;
  return verdict.is === 'forward' && !isVouchedFor ? { is: 'back', phase: verdict.phase, why: onlyOneKnows } : verdict;
}

function withoutSource(permit: 'unused' | 'used' | 'refused' | null, hasStarted: boolean): Verdict {
  if (permit === null) return { is: 'over' };
  // The source is forgotten last, once it was cleaned up.
  if (hasStarted) return { is: 'completed', cleanedUp: true };
  if (permit !== 'used') return { is: 'clearing' };
  return { is: 'unclear', reason: 'the target may have started the container, and the source has lost its record' };
}

function hasAny(record: AgentRecord | null, keys: readonly string[]): boolean {
  return keys.some((key) => record?.outcomes[key] !== undefined);
}

const wasGoingBack: Failure = {
  code: 'MIGRATION_FAILED',
  message: 'it was being rolled back when the server was lost',
};

const onlyOneKnows: Failure = {
  code: 'MIGRATION_FAILED',
  message: 'the server was lost before the target had heard of it: migrate it again',
};

const endedElsewhere: Failure = {
  code: 'MIGRATION_FAILED',
  message:
    'the server was restored from a backup, and neither host has a record of this migration any more: it ended after the backup was made; `cargoctl list` shows where the container is',
};

/**
 * The record as it would be had the server not forgotten: `known` is what the Store has, or a new record where it has
 * none. Never a step back: what the Store knows of a later phase stays.
 */
export function rebuild(known: StoredMigration, witnesses: Witnesses, verdict: Verdict): StoredMigration {
  const { source, target } = witnesses;
  const epoch = Math.max(known.epoch, source?.epoch ?? 0, target?.epoch ?? 0) + 1;
  const now = new Date().toISOString();
  const isOver = !order.includes(known.phase) || known.phase === 'completed';
  if (known.recovery !== null || (isOver && verdict.is !== 'over')) return { ...known, epoch };
  const facts = { ...known, ...progressOf(known, witnesses), epoch, updatedAt: now };
  switch (verdict.is) {
    case 'over':
      return { ...ended(known), epoch, updatedAt: now };
    case 'unclear':
      return {
        ...facts,
        phase: later(known.phase, 'switching'),
        startSent: true,
        activity: `waiting: ${verdict.reason}`,
      };
    case 'recovered':
      return {
        ...facts,
        phase: later(known.phase, 'switching'),
        startSent: true,
        recovery: { at: 'source', lost: known.target, losses: [], acceptedAt: now, fenced: false, keptAs: null },
        activity: 'taken up again from what the hosts know',
      };
    case 'rolled-back':
    case 'clearing':
      return {
        ...facts,
        phase: 'rolled-back',
        clearing: verdict.is === 'clearing',
        error: known.undoing ?? wasGoingBack,
        undoing: null,
        activity: 'rolled back: the container is on the source as before',
      };
    case 'copied':
    case 'completed': {
      const isDone = verdict.is === 'completed';
      const phase = later(known.phase, verdict.is);
      const times = { startedAt: known.startedAt ?? now, copiedAt: known.copiedAt ?? now };
      const done = isDone ? { completedAt: now, cleanedUp: verdict.cleanedUp } : {};
      const activity = isDone ? 'completed' : 'the container runs at the target; all its data is there';
      const completing = known.completing || source?.source?.released === true;
      return { ...facts, ...times, ...done, phase, activity, completing, undoing: null };
    }
    default: {
      const phase = later(known.phase, verdict.phase);
      if (phase === 'copied' || phase === 'hydrating') return { ...facts, phase };
      const undoing = verdict.is === 'back' ? (known.undoing ?? verdict.why) : known.undoing;
      const startSent = known.startSent || phase === 'switching' || undoing !== null;
      return { ...facts, phase, undoing, startSent, activity: 'taken up again from what the hosts know' };
    }
  }
}

function later(a: Phase, b: Phase): Phase {
  return order.indexOf(a) > order.indexOf(b) ? a : b;
}

function ended(known: StoredMigration): StoredMigration {
  if (known.phase === 'copied' || known.phase === 'hydrating') {
    return {
      ...known,
      phase: 'completed',
      activity: 'completed',
      completedAt: new Date().toISOString(),
      cleanedUp: true,
    };
  }
  if (!openPhases.includes(known.phase)) return { ...known, clearing: false };
  const phase = known.phase === 'planned' ? 'failed' : 'rolled-back';
  return { ...known, phase, error: endedElsewhere, undoing: null, activity: 'ended after the backup was made' };
}

/** What the steps' recorded answers say. */
function progressOf(known: StoredMigration, { source, target }: Witnesses): Partial<StoredMigration> {
  const rounds = roundsOf(known, target);
  const last = agentSteps.copy.output.safeParse(target?.outcomes[`copy-${rounds.length}`]?.output).data;
  const whole = (total: number): Migration['files'] => ({ total, local: total, verified: total });
  const frozen = agentSteps.freeze.output.safeParse(source?.outcomes['freeze']?.output).data;
  const used = (target?.target?.usedBases ?? []).map(({ base }) => base);
  const times = {
    freeze: frozen,
    copy: rounds.at(-1)?.final === true ? last : null,
    arm: agentSteps.arm.output.safeParse(target?.outcomes['arm']?.output).data,
    start: agentSteps.start.output.safeParse(target?.outcomes['start']?.output).data,
  };
  const bases = [...known.bases.filter(({ name }) => !used.some((base) => base.name === name)), ...used];
  return {
    rounds,
    bases,
    switchTimes: addSwitchTimes(known.switchTimes, times),
    targetContainerId: target?.target?.containerId ?? known.targetContainerId,
    movedAs: source?.source?.frozen?.movedAs ?? known.movedAs,
    ...(frozen === undefined ? {} : { leftAtSource: frozen.bases }),
    ...(last === undefined ? {} : { files: whole(last.totalFiles), bytes: whole(last.totalBytes) }),
  };
}

/** Rounds are numbered without gaps. Once the permit is used the last one was the final one. */
function roundsOf(known: StoredMigration, target: AgentRecord | null): Round[] {
  const rounds: Round[] = [];
  for (let round = 1; ; round += 1) {
    const outcome = target?.outcomes[`copy-${round}`];
    const output = outcome?.state === 'done' ? agentSteps.copy.output.safeParse(outcome.output).data : undefined;
    const stored = known.rounds.find((candidate) => candidate.round === round);
    if (output === undefined && stored === undefined) break;
    const { files, deleted, bytes } = output ?? { files: 0, deleted: 0, bytes: 0 };
    rounds.push(stored ?? { round, final: false, files, deleted, bytes, durationMs: 0 });
  }
  const last = rounds.pop();
  if (last === undefined) return rounds;
  return [...rounds, { ...last, final: last.final || target?.target?.permit === 'used' }];
}
