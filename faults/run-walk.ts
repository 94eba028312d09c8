import { findHost, restartDocker, waitUntil } from '../lab/index.ts';
import { Migration } from '../src/api/migration.ts';
import type { FaultPoint } from '../src/faults/points.ts';
import { doom, undoom } from './doom.ts';
import type { FaultLab } from './fault-lab.ts';
import { type HostName, PORT } from './names.ts';
import { powerOff, powerOn } from './power.ts';
import { type CellResult, saidBy } from './run-cell.ts';
import { settle } from './settle.ts';
import { type Ground, kinds, type Stop, type Walk } from './walks.ts';

const SOURCE: HostName = 'h1';
const TARGET: HostName = 'h2';
const NEXT_STOP_MS = 120_000;
const WALK_MS = 1_800_000;
const UP_MS = 30_000;
const ENOUGH_BYTES = 3_000_000;

/** The container whose source is tempted, under all its names. */
type Tempted = { name: string; id: string; references: readonly string[] };

let walks = 0;

/** Walks, and judges. Never throws: what goes wrong is a fault. */
export async function runWalk(lab: FaultLab, walk: Walk): Promise<CellResult> {
  const began = performance.now();
  const point = `${walk.stops.length} points`;
  const result: CellResult = { cell: walk.name, point, ended: '', pauseMs: 0, tookMs: 0, faults: [] };
  walks += 1;
  const name = `held-${walks}`;
  try {
    lab.stops.clear();
    lab.recorder.forget();
    const container = await run(lab, walk, name);
    result.ended = await walkThrough(lab, walk, container, result.faults);
    result.faults.push(...(await lab.recorder.verdict()));
  } catch (error) {
    result.faults.push(saidBy(error));
  } finally {
    await sweep(lab, name).catch((error: unknown) => result.faults.push(saidBy(error)));
  }
  result.tookMs = Math.round(performance.now() - began);
  return result;
}

/** Restarted by Docker whenever it can be, and ended by its own signal: a start by hand leaves no unclean stop behind. */
async function run(lab: FaultLab, { kind }: Walk, name: string): Promise<Tempted> {
  const options = `--name ${name} --restart always --stop-signal KILL -p ${PORT}:80 ${kinds[kind](name)}`;
  const work = `mkdir -p /data; test -e /data/blob || head -c ${ENOUGH_BYTES} /dev/urandom >/data/blob; exec sleep 100000`;
  const id = await lab.shell(SOURCE, `docker run -d ${options} busybox:lab sh -c '${work}'`);
  await waitUntil('the container has its data', UP_MS, async () => {
    const { status } = await lab.tryShell(
      SOURCE,
      `docker exec ${name} sh -c 'test $(stat -c %s /data/blob) = ${ENOUGH_BYTES}'`,
    );
    return status === 0 ? true : undefined;
  });
  return { name, id, references: [name, `${name}-moved-${id.slice(0, 12)}`, id] };
}

async function sweep(lab: FaultLab, name: string): Promise<void> {
  lab.stops.clear();
  await undoom(lab, TARGET);
  const all = 'docker ps -aq | xargs -r docker rm -fv; docker volume ls -q | xargs -r docker volume rm';
  for (const host of [SOURCE, TARGET]) await lab.shell(host, `${all}; rm -rf /srv/${name}`);
}

/**
 * The phase in which it ended. All stops are armed at once, since the migration comes by them in its own order; those in
 * the middle of a round once it is the last round's turn.
 */
async function walkThrough(lab: FaultLab, walk: Walk, container: Tempted, faults: string[]): Promise<string> {
  const open = new Map<FaultPoint, Stop>(walk.stops.map((stop) => [stop.point, stop]));
  const late = [...open.keys()].filter((point) => point.endsWith('.round.mid'));
  const at: Partial<Record<FaultPoint, () => Promise<void>>> = {
    ...(late.length === 0 ? {} : { 'server.copy-final.send': async () => arm(lab, late) }),
    ...(walk.way === 'back' ? { 'server.start.send': () => doom(lab, TARGET) } : {}),
  };
  const isDue = (point: FaultPoint): boolean => !late.includes(point) || !open.has('server.copy-final.send');
  arm(lab, new Set([...open.keys(), ...(Object.keys(at) as FaultPoint[])].filter((point) => !late.includes(point))));
  const order = { container: container.name, source: SOURCE, target: TARGET, strategy: 'precopy' };
  const { id } = Migration.parse(await lab.server('POST', '/v1/migrations', order));
  const end = endOf(lab, id);
  for (;;) {
    const point = await nextStop(lab, end);
    if (point === null) break;
    const stop = open.get(point);
    open.delete(point);
    if (walk.gateOpenedAt === point) await openGate(lab);
    if (stop !== undefined) faults.push(...(await tempt(lab, container, stop, [...open.keys()].filter(isDue))));
    await at[point]?.();
    lab.stops.release(point);
  }
  const { phase } = await end.done;
  const expected = walk.way === 'back' ? 'rolled-back' : 'completed';
  if (phase !== expected) faults.push(`it ended in ${phase}, not in ${expected}`);
  if (open.size > 0) faults.push(`it never came by ${[...open.keys()].join(', ')}`);
  return phase;
}

async function openGate(lab: FaultLab): Promise<void> {
  const aside = `find /var/lib/docker/volumes /var/lib/docker/overlay2 -maxdepth 2 -name '*.moved-to-*'`;
  await lab.shell(SOURCE, `for at in $(${aside}); do mv $at "\${at%.moved-to-*}"; done`);
}

function arm(lab: FaultLab, points: Iterable<FaultPoint>): void {
  for (const point of points) lab.stops.arm(point);
}

/** The migration when nothing of it moves any more, completed where it got through. */
function endOf(lab: FaultLab, id: string): { done: Promise<Migration>; isOver: () => boolean } {
  let isOver = false;
  const done = settle(lab, id, WALK_MS)
    .then((settled) => (settled.phase === 'copied' ? completed(lab, id) : settled))
    .finally(() => {
      isOver = true;
    });
  done.catch(() => undefined); // awaited by who walks
  return { done, isOver: () => isOver };
}

/** As an operator would: again and again, however long each stop of it makes one wait. */
async function completed(lab: FaultLab, id: string): Promise<Migration> {
  return waitUntil('the migration is completed', WALK_MS, async () => {
    await lab.server('POST', `/v1/migrations/${id}/failover`, {}).catch(() => undefined);
    const migration = Migration.parse(await lab.server('GET', `/v1/migrations/${id}`));
    return migration.phase === 'completed' ? migration : undefined;
  });
}

/** Where it stands next; null when it has ended. */
async function nextStop(lab: FaultLab, end: { isOver: () => boolean }): Promise<FaultPoint | null> {
  return waitUntil(
    'the migration comes by its next stop',
    NEXT_STOP_MS,
    () => {
      const [point] = lab.stops.held();
      return point ?? (end.isOver() ? null : undefined);
    },
    10,
  );
}

async function tempt(lab: FaultLab, container: Tempted, stop: Stop, ahead: readonly FaultPoint[]): Promise<string[]> {
  const { point, ground, temptation } = stop;
  const faults = await byHand(lab, container, ground);
  if (temptation !== 'hands') {
    const policy = `docker update --restart always ${container.id}`;
    if (ground === 'gated') await lab.shell(SOURCE, policy);
    if (temptation === 'daemon') await restartDocker(lab.lab, findHost(lab.lab, SOURCE));
    else faults.push(...(await cycle(lab, [point, ...ahead])));
    faults.push(...(await byHand(lab, container, ground)));
  }
  return faults.map((fault) => `${point}, ${temptation}: ${fault}`);
}

/** What the source's agent is still to be held at is forgotten with its power; where it stood it is to stand again. */
async function cycle(lab: FaultLab, ahead: readonly FaultPoint[]): Promise<string[]> {
  const records = await powerOff(lab, SOURCE);
  return powerOn(lab, SOURCE, records, () => arm(lab, ahead));
}

/** Starts it by each of its names, having looked whether it runs already. */
async function byHand(lab: FaultLab, { id, references }: Tempted, ground: Ground): Promise<string[]> {
  const faults: string[] = [];
  if (ground === 'gated' && (await isUp(lab, id))) faults.push('it runs');
  for (const reference of references) {
    const { status } = await lab.tryShell(SOURCE, `docker start ${reference}`);
    if (ground === 'gated' && status === 0) faults.push(`docker start ${reference} succeeds`);
  }
  if (ground === 'gated' && (await isUp(lab, id))) faults.push('it runs after docker start');
  // Docker starts what is to run some time after it answers.
  const up = async (): Promise<true | undefined> => ((await isUp(lab, id)) ? true : undefined);
  if (ground === 'home') await waitUntil('it runs', UP_MS, up).catch(() => faults.push('it does not run'));
  return faults;
}

async function isUp(lab: FaultLab, id: string): Promise<boolean> {
  return (await lab.shell(SOURCE, `docker inspect -f '{{.State.Running}}' ${id}`)) === 'true';
}
