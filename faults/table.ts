import { cpus, release, totalmem } from 'node:os';
import { type LazyFaultName, lazyFaultNames, momentNames } from './lazy-cells.ts';
import { type FaultName, faultNames, matrixSteps, onceAnswered } from './matrix.ts';
import type { KeptCell, KeptControl, Run } from './results.ts';
import type { CellResult } from './run-cell.ts';
import { kindNames, temptations, wayNames } from './walks.ts';

const meanings: Record<FaultName, string> = {
  'server-kill': 'SIGKILL of cargo-server, started again after a second',
  'source-kill': "SIGKILL of the source's agent, started again after a second",
  'target-kill': "SIGKILL of the target's agent, started again after a second",
  'both-kill': 'SIGKILL of both agents, started again after a second',
  'server-cut': "the server's link cut for 12 s",
  'source-cut': "the source's link cut for 12 s",
  'target-cut': "the target's link cut for 12 s",
  'source-docker': "SIGKILL of the source's Docker daemon, started again after a second",
  'target-docker': "SIGKILL of the target's Docker daemon, started again after a second",
  'source-power': 'the source loses its power and boots again',
  'target-power': 'the target loses its power and boots again',
  'target-full': "the target's disk full to the last byte for 4 s",
};

const lazyMeanings: Record<LazyFaultName, string> = {
  'hydrator-kill': 'SIGKILL of the process that brings the data (the hydrator)',
  'holders-kill':
    'SIGKILL of the hydrator and of both processes that protect what is missing while it is replaced (the holders)',
  'one-holder-kill': 'SIGKILL of one holder',
  'source-away': 'the source has no power for as long as the cell says, then boots',
  'target-twice':
    'the target loses its power, boots, loses it again as soon as what is missing is protected again (or 20 s after its agent was started), and boots',
  'target-taken':
    'the target loses its power and boots; something else has the container’s port until the agent has tried to start it, and 20 s at most',
};

/** `of`: how many cells and walks there are; those that were never run are missing in the results. */
export type Circumstances = {
  runs: readonly Run[];
  missing: readonly string[];
  controls: readonly KeptControl[];
  of: number;
};

/** docs/faults.md: written by the run, never by hand. */
export function page(results: readonly KeptCell[], { runs, missing, controls, of }: Circumstances): string {
  const failed = results.filter(({ faults }) => faults.length > 0);
  const marks = marksOf(runs, [...results, ...controls]);
  const shown = (name: string): string => shownCell(results, name, marks);
  const walked = (name: string): string => shownWalk(results, name, marks);
  const gib = Math.round(totalmem() / 2 ** 30);
  return `${[
    '# Fault matrix',
    '',
    `Written by \`make faults\`; Linux ${release().replace(/-.*/, '')}, ${cpus().length} cores, ${gib} GiB.`,
    `${results.length} of ${of} cells and walks were run, ${results.length - failed.length} without a fault found, ${failed.length} with one.`,
    '',
    'Each result is of the code that it was found with; where a cell has no number it is of run 1.',
    '',
    '| run | commit | date | with | cells and walks | controls |',
    '| --- | --- | --- | --- | --- | --- |',
    ...[...marks.keys()].map((code, index) => rowOf(code, index, { runs, results, controls })),
    '',
    'A cell is one migration of a MariaDB between two Docker hosts, a client writing all the while, in which one fault strikes',
    'one process or machine while a process is held at one named point of the step. Afterwards everything is made well again,',
    'and the cell passes when: no row that the client saw acknowledged is missing or changed, none is there that it did not',
    'write, and `CHECK TABLE` finds the table whole; never ran a container on both hosts, by the event logs of both Docker',
    "daemons and by the processes in the containers' cgroups; the migration is `completed`, or rolled back with the container",
    'on the source as it was; and neither host keeps anything of it (containers, volumes, networks, images, ports, directories',
    'aside, files of the agents), but for a copy that ran at the target, wrote there and failed: that is kept, and removed as',
    "the status says. A cell tells how the migration ended and the client's longest pause in seconds, the fault itself",
    'included; it depends on how busy the machine was.',
    '',
    '| fault | is |',
    '| --- | --- |',
    ...faultNames.map((name) => `| ${name} | ${meanings[name]} |`),
    '',
    `| step | ${faultNames.join(' | ')} |`,
    `| --- | ${faultNames.map(() => '---').join(' | ')} |`,
    ...matrixSteps.map((step) => `| ${step} | ${faultNames.map((fault) => shown(`${step}/${fault}`)).join(' | ')} |`),
    '',
    '## Data that follows',
    '',
    'What only `--strategy lazy` can suffer. The background copy is held to 1 MB/s, and a file of 16 MiB, written just before, is',
    'missing when it strikes: with the data protected and the container not started (`target.arm.effect`), with the container running',
    'and nobody who drives it on (`server.hydrate.send`), and after some of the data has come (`target.hydrate.mid`). Besides the',
    'checks of every cell that file must be what it was at the source; a process that reads all of it while its hydrator or the source',
    'is away must wait and then get those bytes; and the container must not be started again but by a power cut or an operator.',
    'Where the hydrator and all holders die while it runs, the container must be stopped and stay so, for `docker start`, and when the',
    'agent is started again; `recover --at source --accept-loss` then brings it back with every row that was acknowledged there.',
    '',
    '| fault | is |',
    '| --- | --- |',
    ...lazyFaultNames.map((name) => `| ${name} | ${lazyMeanings[name]} |`),
    '',
    `| moment | ${lazyFaultNames.join(' | ')} |`,
    `| --- | ${lazyFaultNames.map(() => '---').join(' | ')} |`,
    ...momentNames.map(
      (moment) => `| ${moment} | ${lazyFaultNames.map((fault) => shown(`${moment}/${fault}`)).join(' | ')} |`,
    ),
    '',
    '## Where each fault struck',
    '',
    `| step | ${faultNames.join(' | ')} |`,
    `| --- | ${faultNames.map(() => '---').join(' | ')} |`,
    ...matrixSteps.map(
      (step) => `| ${step} | ${faultNames.map((fault) => where(results, `${step}/${fault}`)).join(' | ')} |`,
    ),
    '',
    missing.length === 0
      ? 'Every fault point was come by.'
      : `Fault points that no cell came by: ${missing.map((point) => `\`${point}\``).join(', ')}.`,
    '',
    '## Once it was answered',
    '',
    'The same with a power cut in the moment in which the server has the answer. What a host had written down before a power cut',
    'is compared with what is on its disk when it boots, before its agent runs: in these cells, and wherever else power is cut.',
    '',
    ...onceAnswered().map(({ name, point }) => `- \`${point}\`: ${shown(name)}`),
    '',
    '## Walks',
    '',
    'A walk is one migration that is stopped at every point from the freeze on. At each, the source is tempted to run the',
    'container again: with `docker start` by its old name, its new name and its id; with the restart policy put back by hand and',
    'its Docker daemon restarted, then by hand again; with the policy put back and its power cut, then by hand again. Nothing brings',
    'it up while its gate is closed, it runs where it is at home, and never do two copies run. Seconds are those of the whole walk.',
    '',
    `| data, way | ${temptations.join(' | ')} |`,
    `| --- |${temptations.map(() => ' --- |').join('')}`,
    ...kindNames.flatMap((kind) =>
      wayNames.map((way) => {
        const cells = temptations.map((temptation) => walked(`walk/${kind}/${way}/${temptation}`));
        return `| ${kind}, ${way} | ${cells.join(' | ')} |`;
      }),
    ),
    '',
    '## Controls',
    '',
    'The same checks, of a copy of the code with one protection taken out, must fail:',
    '',
    ...(controls.length === 0
      ? ['not run']
      : controls.map(({ name, caught, code }) => `- ${name}: ${caught ?? '**not noticed**'}${marks.get(code) ?? ''}`)),
    '',
    ...(failed.length === 0 ? [] : ['## What failed', '', ...failed.map(told), '']),
  ].join('\n')}`;
}

type Marks = ReadonlyMap<string, string>;

/** What stands behind a result of each code; the one that most are of goes first and has none. */
function marksOf(runs: readonly Run[], results: readonly { code: string }[]): Marks {
  const count = (code: string): number => results.filter((result) => result.code === code).length;
  const used = runs.map(({ code }) => code).filter((code) => count(code) > 0);
  const sorted = used.sort((one, other) => count(other) - count(one));
  return new Map(sorted.map((code, index) => [code, index === 0 ? '' : ` [${index + 1}]`]));
}

function rowOf(
  code: string,
  index: number,
  { runs, results, controls }: { runs: readonly Run[]; results: readonly KeptCell[]; controls: readonly KeptControl[] },
): string {
  const run = runs.find((known) => known.code === code);
  const count = (all: readonly { code: string }[]): number => all.filter((one) => one.code === code).length;
  return `| ${index + 1} | ${run?.commit} | ${run?.date} | ${run?.versions} | ${count(results)} | ${count(controls)} |`;
}

function shownCell(results: readonly KeptCell[], name: string, marks: Marks): string {
  const result = results.find(({ cell }) => cell === name);
  if (result === undefined) return '';
  const end = result.ended === '' ? 'unknown' : result.ended;
  return `${result.faults.length === 0 ? '' : '**FAILED** '}${end} ${(result.pauseMs / 1000).toFixed(1)}${result.note === undefined ? '' : `, ${result.note}`}${marks.get(result.code) ?? ''}`;
}

function shownWalk(results: readonly KeptCell[], name: string, marks: Marks): string {
  const result = results.find(({ cell }) => cell === name);
  if (result === undefined) return '';
  const took = `${result.point}, ${Math.round(result.tookMs / 1000)} s`;
  return `${result.faults.length === 0 ? '' : '**FAILED** '}${result.ended}, ${took}${marks.get(result.code) ?? ''}`;
}

function where(results: readonly CellResult[], name: string): string {
  return results.find(({ cell }) => cell === name)?.point ?? '';
}

function told({ cell, point, faults }: CellResult): string {
  return `- \`${cell}\` at \`${point}\`: ${faults.join('; ')}`;
}
