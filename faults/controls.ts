import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import type { Results } from './results.ts';

const root = join(import.meta.dirname, '..');

/** A protection that is taken out of a copy of the code, a cell, and what the checker must say of it then. */
type Control = { name: string; file: string; edits: [string, string][]; cell: string; says: RegExp };

export const controls: readonly Control[] = [
  {
    name: "the source resumes without the target's word",
    file: 'src/server/migrations/driver.ts',
    edits: [
      ['{ patienceMs: Number.POSITIVE_INFINITY, uncancellable: true };\n    return', '{ patienceMs: 0 };\n    return'],
      ['while (startSent && ', 'while (Date.now() < 0 && '],
    ],
    cell: 'start/target-cut@target.start.started',
    says: /two copies ran for .*/,
  },
  {
    name: 'the changes of the last moment are not copied',
    file: 'src/server/migrations/driver.ts',
    edits: [['last?.final === true ? {} : await', 'Date.now() > 0 ? {} : await']],
    cell: 'serve/server-kill@server.serve.send',
    says: /\d+ acknowledged rows are missing.*/,
  },
  {
    name: 'abandon leaves the volumes that stage has made',
    file: 'src/agent/container/abandon.ts',
    edits: [['[...target.createdVolumes, ', '[...([] as string[]), ']],
    cell: 'thaw/server-kill@server.thaw.send',
    says: /h\d still has volume shop-data/,
  },
  {
    name: 'the gate stays open',
    file: 'src/agent/container/gate.ts',
    edits: [
      [
        'export async function closeGate(moves: readonly GateMove[]): Promise<void> {\n  for (const { from, to } of moves) {',
        'export async function closeGate(moves: readonly GateMove[]): Promise<void> {\n  for (const { from, to } of moves.slice(moves.length)) {',
      ],
    ],
    cell: 'walk/volume/forward/hands',
    says: /docker start \S+ succeeds/,
  },
  {
    name: 'the gate of a container with bind mounts alone stays open',
    file: 'src/agent/container/gate.ts',
    edits: [['return [own, ...volumes].map(', 'return [...(own === null ? [own] : []), ...volumes].map(']],
    cell: 'walk/bind/forward/hands',
    says: /two copies ran for .*/,
  },
  {
    name: 'a container whose missing data lost its protection runs on',
    file: 'src/agent/container/lazy-mounts.ts',
    edits: [
      [
        'if (containerId !== null) await shutDown(this.#engine, containerId, context);',
        'if (Date.now() < 0 && containerId !== null) await shutDown(this.#engine, containerId, context);',
      ],
    ],
    cell: 'hydrate-mid/holders-kill',
    says: /waited \d+ ms in vain until the container is stopped/,
  },
  {
    name: 'what an agent writes down is not synced',
    file: 'src/files/durable-file.ts',
    edits: [
      ['    await file.sync();\n', ''],
      ['  await directory.sync();\n', ''],
    ],
    cell: 'refuse/target-power@server.refuse.answered',
    says: /h\d forgot at the power cut, .*: permit refused is used/,
  },
];

/** Those that this code hasn't been put to yet. `isChosen`: whether a cell is to be run. */
export async function runControls(
  results: Results,
  isChosen: (cell: string) => boolean,
  signal: AbortSignal,
): Promise<void> {
  for (const control of controls.filter(({ cell }) => isChosen(cell))) {
    if (signal.aborted || results.controls.some(({ name, caught }) => name === control.name && caught !== null))
      continue;
    const caught = await runControl(control, signal);
    console.log(`control: ${control.name}: ${caught ?? 'NOT NOTICED'}`);
    if (!signal.aborted) results.addControl({ name: control.name, caught });
  }
}

/** The whole program runs from the copy, so its lab shows the hosts the copy too. */
async function runControl({ file, edits, cell, says }: Control, signal: AbortSignal): Promise<string | null> {
  mkdirSync(join(root, 'dist'), { recursive: true });
  const copy = mkdtempSync(join(root, 'dist/control-'));
  try {
    for (const name of ['src', 'lab', 'bin', 'demo', 'faults', 'package.json']) {
      cpSync(join(root, name), join(copy, name), { recursive: true, verbatimSymlinks: true });
    }
    execFileSync('cp', ['-al', join(root, 'node_modules'), join(copy, 'node_modules')]);
    let code = readFileSync(join(copy, file), 'utf8');
    for (const [from, to] of edits) {
      if (!code.includes(from)) throw new Error(`${file} has no longer: ${from}`);
      code = code.replace(from, to);
    }
    writeFileSync(join(copy, file), code);
    const args = ['--every-point', '--no-controls', '--only', cell, '--lab', `faults-control-${process.pid}`];
    const child = spawn(process.execPath, [join(copy, 'faults/run.ts'), ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    signal.addEventListener('abort', () => child.kill('SIGTERM'), { once: true }); // it takes its lab down and ends
    const [said] = await Promise.all([text(child.stdout), once(child, 'close')]);
    const caught = says.exec(said)?.[0] ?? null;
    if (caught === null) console.log(said);
    return caught;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
