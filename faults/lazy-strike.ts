import { setTimeout as delay } from 'node:timers/promises';
import { bootHost, findHost, restartAgent, runInHost, startAgent, waitUntil } from '../lab/index.ts';
import { Migration } from '../src/api/migration.ts';
import type { Bench } from './bench.ts';
import { doom, undoom } from './doom.ts';
import { type EngineProcesses, engineProcesses, killProcesses } from './engine-processes.ts';
import type { LazyFaultName } from './lazy-cells.ts';
import { BALLAST, CONTAINER } from './names.ts';
import { powerOff, powerOn } from './power.ts';
import { forgotten, recordsOn } from './records.ts';
import { saidBy } from './run-cell.ts';
import type { FollowedMove } from './run-lazy-cell.ts';

const REPLACED_MS = 60_000;
const STOPPED_MS = 30_000;
const ARMED_AGAIN_MS = 20_000;
const READ_MS = 60_000;

/** What was found wrong, and what a reader of the page should know besides. */
export type Struck = { faults: string[]; note?: string };

/** Strikes, lets the process go that is held, and makes all well again but for what an operator must decide. */
export const lazyStrikes: Record<LazyFaultName, (bench: Bench, move: FollowedMove) => Promise<Struck>> = {
  'hydrator-kill': killHydrator,
  'holders-kill': killProtection,
  'one-holder-kill': killOneHolder,
  'source-away': takeSourceAway,
  'target-twice': cutTargetTwice,
  'target-taken': takePort,
};

async function killHydrator(bench: Bench, { roles, before, isRunning, sum, letGo }: FollowedMove): Promise<Struck> {
  await killProcesses(bench, roles.target, before.hydrators);
  const reader = isRunning ? readBallast(bench, roles.target, READ_MS) : null;
  letGo();
  // Nobody else could have given the reader its bytes.
  if (reader !== null) return { faults: await wrongIn(reader, sum) };
  await untilReplaced(bench, roles.target, ({ hydrators }) => isOther(hydrators, before.hydrators, 1));
  return { faults: [] };
}

async function killOneHolder(bench: Bench, { roles, before, letGo }: FollowedMove): Promise<Struck> {
  const killed = before.holders.slice(0, 1);
  await killProcesses(bench, roles.target, killed);
  await untilReplaced(bench, roles.target, ({ holders }) => isOther(holders, killed, before.holders.length));
  const { hydrators } = await engineProcesses(bench, roles.target);
  letGo();
  return { faults: hydrators.join() === before.hydrators.join() ? [] : ['the hydrator was replaced too'] };
}

/** While the container runs, what it reads may be wrong from now on. */
async function killProtection(bench: Bench, move: FollowedMove): Promise<Struck> {
  const { roles, before, isRunning, letGo, id } = move;
  const killedAt = performance.now();
  await killProcesses(bench, roles.target, [...before.hydrators, ...before.holders]);
  letGo();
  if (!isRunning) return { faults: [] };
  const stopped = async (): Promise<true | undefined> =>
    (await bench.shell(roles.target, `docker inspect -f '{{.State.Running}}' ${CONTAINER}`)) === 'false'
      ? true
      : undefined;
  await waitUntil('the container is stopped', STOPPED_MS, stopped);
  const note = `stopped after ${((performance.now() - killedAt) / 1000).toFixed(1)} s`;
  const faults = await standsSuspect(bench, move);
  await restartAgent(bench.lab, findHost(bench.lab, roles.target));
  faults.push(...(await standsSuspect(bench, move)));
  await bench.server('POST', `/v1/migrations/${id}/recover`, { at: 'source', acceptLoss: true });
  return { faults, note };
}

async function standsSuspect(bench: Bench, { id, roles }: FollowedMove): Promise<string[]> {
  const look = async (): Promise<true | undefined> => {
    const { phase, error } = Migration.parse(await bench.server('GET', `/v1/migrations/${id}`));
    return phase === 'hydrating' && error?.code === 'SUSPECT' ? true : undefined;
  };
  await waitUntil('the migration is suspect', STOPPED_MS, look);
  const { status } = await bench.tryShell(roles.target, `docker start ${CONTAINER}`);
  return status === 0 ? ['a container that may have seen wrong data was started again'] : [];
}

async function takeSourceAway(bench: Bench, move: FollowedMove): Promise<Struck> {
  const { roles, isRunning, sum, letGo, id, awayMs } = move;
  const records = await powerOff(bench, roles.source);
  const awayAt = performance.now();
  let isRead = false;
  const reader = isRunning ? readBallast(bench, roles.target, awayMs + READ_MS) : null;
  const reading = reader?.finally(() => {
    isRead = true;
  });
  reading?.catch(() => undefined); // awaited below
  letGo();
  await delay(awayMs);
  const faults = isRead ? ['what was at the source alone was read while that was away'] : [];
  if (isRunning) faults.push(...(await saysAway(bench, id)));
  const note = `source away ${Math.round((performance.now() - awayAt) / 1000)} s`;
  faults.push(...(await powerOn(bench, roles.source, records)));
  if (reading !== undefined) faults.push(...(await wrongIn(reading, sum)));
  return { faults, note };
}

async function saysAway(bench: Bench, id: string): Promise<string[]> {
  const { hydration } = Migration.parse(await bench.server('GET', `/v1/migrations/${id}`));
  return hydration.some(({ sourceAway }) => sourceAway !== null)
    ? []
    : ['the status does not say that the source is away'];
}

/** The second time as soon as what is missing is protected again, or the agent had its time to do so. */
async function cutTargetTwice(bench: Bench, { roles, letGo }: FollowedMove): Promise<Struck> {
  const host = findHost(bench.lab, roles.target);
  const first = await powerOff(bench, roles.target);
  letGo();
  await bootHost(bench.lab, host);
  const faults = forgotten(roles.target, first, recordsOn(bench.lab, roles.target));
  await startAgent(bench.lab, host);
  const isArmed = await waitUntil('what is missing is protected again', ARMED_AGAIN_MS, async () =>
    (await engineProcesses(bench, roles.target)).hydrators.length > 0 ? true : undefined,
  ).catch(() => false);
  const second = await powerOff(bench, roles.target);
  faults.push(...(await powerOn(bench, roles.target, second)));
  return { faults, note: `cut again ${isArmed ? 'while it protected its data' : 'before it protected any data'}` };
}

/** Docker finds no data when it starts, and the agent's own attempts fail, that of the step too: the container must come up all the same. */
async function takePort(bench: Bench, { id, roles, isRunning, letGo }: FollowedMove): Promise<Struck> {
  const host = findHost(bench.lab, roles.target);
  const records = await powerOff(bench, roles.target);
  letGo();
  await bootHost(bench.lab, host);
  const faults = forgotten(roles.target, records, recordsOn(bench.lab, roles.target));
  await doom(bench, roles.target);
  await restartAgent(bench.lab, host);
  const hasFailed = async (): Promise<true | undefined> => {
    const failed = `"migration":"${id}","step":"hydrate".*does not start now either`;
    const { status } = await bench.tryShell(roles.target, `grep -q '${failed}' /var/log/cargo-agent.log`);
    return status === 0 ? true : undefined;
  };
  if (isRunning) await waitUntil('the agent could not start the container', ARMED_AGAIN_MS, hasFailed);
  await undoom(bench, roles.target);
  return { faults };
}

async function untilReplaced(
  bench: Bench,
  host: FollowedMove['roles']['target'],
  isReplaced: (now: EngineProcesses) => boolean,
): Promise<void> {
  await waitUntil('what was killed is replaced', REPLACED_MS, async () =>
    isReplaced(await engineProcesses(bench, host)) ? true : undefined,
  );
}

function isOther(now: readonly number[], killed: readonly number[], count: number): boolean {
  return now.length === count && !now.some((pid) => killed.includes(pid));
}

async function readBallast(bench: Bench, host: FollowedMove['roles']['target'], timeoutMs: number): Promise<string> {
  const command = ['docker', 'exec', CONTAINER, 'md5sum', BALLAST];
  const { stdout, stderr } = await runInHost(bench.lab, findHost(bench.lab, host), command, { timeoutMs });
  return stdout.trim() || stderr.trim();
}

async function wrongIn(reader: Promise<string>, sum: string): Promise<string[]> {
  const read = await reader.catch(saidBy);
  return read === sum ? [] : [`a reader got ${read}, not ${sum}`];
}
