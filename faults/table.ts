import { cpus, release, totalmem } from 'node:os';
import { type FaultName, faultNames, matrixSteps, onceAnswered } from './matrix.ts';
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

export type Circumstances = { date: string; versions: string; missing: readonly string[]; controls: readonly string[] };

/** docs/faults.md: written by the run, never by hand. */
export function page(results: readonly CellResult[], { date, versions, missing, controls }: Circumstances): string {
  const failed = results.filter(({ faults }) => faults.length > 0);
  const gib = Math.round(totalmem() / 2 ** 30);
  return `${[
    '# Fault matrix',
    '',
    `Written by \`make faults\` on ${date}; ${versions}; Linux ${release().replace(/-.*/, '')}, ${cpus().length} cores, ${gib} GiB.`,
    `${results.length} cells and walks, ${results.length - failed.length} without a fault found, ${failed.length} with one.`,
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
    ...matrixSteps.map(
      (step) => `| ${step} | ${faultNames.map((fault) => shown(results, `${step}/${fault}`)).join(' | ')} |`,
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
    ...onceAnswered().map(({ name, point }) => `- \`${point}\`: ${shown(results, name)}`),
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
        const cells = temptations.map((temptation) => walked(results, `walk/${kind}/${way}/${temptation}`));
        return `| ${kind}, ${way} | ${cells.join(' | ')} |`;
      }),
    ),
    '',
    '## Controls',
    '',
    'The same checks, of a copy of the code with one protection taken out, must fail:',
    '',
    ...(controls.length === 0 ? ['not run'] : controls.map((line) => `- ${line}`)),
    '',
    ...(failed.length === 0 ? [] : ['## What failed', '', ...failed.map(told), '']),
  ].join('\n')}`;
}

function shown(results: readonly CellResult[], name: string): string {
  const result = results.find(({ cell }) => cell === name);
  if (result === undefined) return '';
  const end = result.ended === '' ? 'unknown' : result.ended;
  return `${result.faults.length === 0 ? '' : '**FAILED** '}${end} ${(result.pauseMs / 1000).toFixed(1)}`;
}

function walked(results: readonly CellResult[], name: string): string {
  const result = results.find(({ cell }) => cell === name);
  if (result === undefined) return '';
  const took = `${result.point}, ${Math.round(result.tookMs / 1000)} s`;
  return `${result.faults.length === 0 ? '' : '**FAILED** '}${result.ended}, ${took}`;
}

function where(results: readonly CellResult[], name: string): string {
  return results.find(({ cell }) => cell === name)?.point ?? '';
}

function told({ cell, point, faults }: CellResult): string {
  return `- \`${cell}\` at \`${point}\`: ${faults.join('; ')}`;
}
