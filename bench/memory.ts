/**
 * The most memory that the agents of both hosts ever held (VmHWM) while a container with a volume of so many small files
 * moved between two hosts of the lab, each on a disk (ext4) of its own.
 *
 *   node bench/memory.ts [--files 1000000] [--quick]
 *
 * `--quick`: a tenth of the files.
 */
import { parseArgs } from 'node:util';
import { run } from '../demo/command.ts';
import { bootLab, type Lab } from '../demo/lab.ts';
import { describeMachine } from './machine.ts';

const AIM_MB = 200;
const MAKE_LIMIT_MS = 20 * 60_000;
const MOVE_LIMIT_MS = 60 * 60_000;
const HOSTS = ['h1', 'h2'] as const;

const { values } = parseArgs({
  options: { files: { type: 'string', default: '1000000' }, quick: { type: 'boolean', default: false } },
});
const files = Number(values.files) / (values.quick ? 10 : 1);
const interruption = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interruption.abort());

await using lab = await bootLab('bench-memory', false, interruption.signal);
await lab.image('h1', 'busybox');
const endsWhenTold = 'trap "exit 0" TERM; sleep 100000 & wait';
const container = ['--name', 'box', '-v', 'data:/data', 'busybox:lab', 'sh', '-c', endsWhenTold];
await lab.exec('h1', ['docker', 'run', '-d', ...container]);
await lab.exec('h1', ['/opt/cargo/node_modules/node/bin/node', '-e', makeFiles(files)], MAKE_LIMIT_MS);
const before = await peaks(lab);
const began = performance.now();
await run('cargoctl', ['migrate', 'box', '--from', 'h1', '--to', 'h2', '--strategy', 'precopy'], {
  env: lab.env,
  limitMs: MOVE_LIMIT_MS,
  signal: interruption.signal,
});
const seconds = (performance.now() - began) / 1000;
const after = await peaks(lab);
const arrived = await lab.exec('h2', ['sh', '-c', 'find /var/lib/docker/volumes/data/_data -type f | wc -l']);
if (Number(arrived) !== files) throw new Error(`${arrived.trim()} of ${files} files arrived`);

console.log(`${files} files moved in ${seconds.toFixed(0)} s; ${describeMachine()}`);
HOSTS.forEach((host, index) => {
  const role = index === 0 ? 'source' : 'target';
  console.log(`${role} (${host})  peak RSS ${after[index]} MB, before the move ${before[index]} MB; aim ${AIM_MB} MB`);
});
console.log(
  `| \`bench/memory.ts\`: at most ${AIM_MB} MB in either agent while ${files} files of 64 bytes move | source ${after[0]} MB, target ${after[1]} MB; idle ${before[0]} and ${before[1]} MB; ${seconds.toFixed(0)} s; ${describeMachine()} |`,
);

/** MB, of both agents since they were started. */
async function peaks({ exec }: Lab): Promise<number[]> {
  const command = 'grep VmHWM "/proc/$(pgrep -o -f agent/main.ts)/status"';
  const lines = await Promise.all(HOSTS.map((host) => exec(host, ['sh', '-c', command])));
  return lines.map((line) => Math.round((Number(/(\d+) kB/.exec(line)?.[1]) * 1024) / 1e6));
}

/** A program: a thousand files a directory, each with its own content of 64 bytes. */
function makeFiles(count: number): string {
  return `
    const fs = require('node:fs');
    for (let index = 0; index < ${count}; index += 1) {
      const folder = '/var/lib/docker/volumes/data/_data/d' + Math.floor(index / 1000);
      if (index % 1000 === 0) fs.mkdirSync(folder);
      fs.writeFileSync(folder + '/file-' + index, String(index).padEnd(64));
    }`;
}
