import { isMove, type Phase } from '../../src/api/migration.ts';
import { type Side, type Step, sideOf, type World } from './world.ts';

/** The driver of src/server/migrations/driver.ts: what it asks for next, by its record and what it has heard since. */
export function waitsFor(world: World): Step | null {
  const { phase, recovery, undoing, startSent, clearing, fenced, completing, whole, heard } = world;
  if (recovery === 'source') {
    if (phase === 'recovered') return fenced ? null : 'fence';
    return heard.includes('fence') || !world.target.on ? 'thaw' : 'fence';
  }
  if (recovery === 'target') return fenced ? null : heard.includes('finish') ? 'release' : 'finish';
  if (clearing) return 'abandon';
  if (phase === 'rolled-back' || phase === 'failed' || phase === 'completed') return null;
  if (undoing && world.afterAll) return 'start';
  if (undoing) return startSent && !heard.includes('refuse') ? 'refuse' : 'thaw';
  if (phase === 'hydrating') return 'hydrate';
  if (phase === 'copied') return completing ? 'release' : world.failover ? 'finish' : null;
  if (phase === 'planned' || phase === 'staging') return 'stage';
  if (startSent) return 'start';
  if (!heard.includes('freeze')) return 'freeze';
  if (!whole) return 'copy';
  return world.lazy && !heard.includes('arm') ? 'arm' : 'start';
}

export function move(world: World, phase: Phase): Pick<World, 'phase'> {
  if (world.phase !== phase && !isMove(world.phase, phase)) throw new Error(`no move ${world.phase} to ${phase}`);
  return { phase };
}

/** The answer that the server waits for has come. */
export function learn(world: World): World | null {
  const step = world.waiting;
  if (step === null) return null;
  const side: Side = world[sideOf(step)];
  const outcome = side.outcomes[step];
  const isAnswer = outcome.state === 'done' || (outcome.state !== 'none' && outcome.epoch >= world.epoch);
  if (!side.agent || !isAnswer) return null;
  const after = { ...world, waiting: null };
  if (outcome.state === 'done') return done(after, step);
  if (outcome.state === 'started') return { ...after, afterAll: true, epoch: world.epoch + 1 };
  if (world.undoing && step === 'start') return { ...after, afterAll: false, epoch: world.epoch + 1 };
  if (step === 'stage' || step === 'freeze' || step === 'copy' || step === 'arm' || step === 'start')
    return { ...after, undoing: true };
  return { ...after, epoch: world.epoch + 1 };
}

function done(world: World, step: Step): World {
  switch (step) {
    case 'stage':
      return { ...world, ...move(world, 'switching') };
    case 'copy':
      return { ...world, whole: true };
    case 'start':
      return { ...world, ...move(world, world.lazy ? 'hydrating' : 'copied'), undoing: false, afterAll: false };
    case 'hydrate':
      return { ...world, ...move(world, 'copied') };
    case 'thaw':
      if (world.recovery === 'source') {
        return { ...world, ...move(world, 'recovered'), undoing: false, fenced: world.heard.includes('fence') };
      }
      return {
        ...world,
        ...move(world, world.phase === 'planned' ? 'failed' : 'rolled-back'),
        undoing: false,
        clearing: true,
      };
    case 'abandon':
      return { ...world, clearing: false };
    case 'fence':
      return world.phase === 'recovered' ? { ...world, fenced: true } : hear(world, step);
    case 'finish':
      return world.recovery === 'target' ? hear(world, step) : { ...world, completing: true, failover: false };
    case 'release':
      return world.recovery === 'target'
        ? { ...world, fenced: true }
        : { ...world, ...move(world, 'completed'), completing: false };
    case 'freeze':
    case 'arm':
    case 'refuse':
      return hear(world, step);
  }
}

const hear = (world: World, step: Step): World => ({ ...world, heard: [...world.heard, step] });
