/**
 * Cargo's transfer, with mutual authentication and encryption, against `tar | tar` over a socket and an rsync daemon, on loopback. Each way copies a tree into an
 * empty directory of the same file system and ends when that is synced. The ways take turns; medians are printed.
 *
 *   node bench/transfer.ts [--quick] [--bulk-files 64] [--bulk-mib 64] [--small-files 100000] [--small-bytes 4096]
 *                          [--runs 3] [--directory /var/tmp]
 *
 * `--quick`: a quarter of the bytes and of the files.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    'bulk-files': { type: 'string', default: '64' },
    'bulk-mib': { type: 'string', default: '64' },
    'small-files': { type: 'string', default: '100000' },
    'small-bytes': { type: 'string', default: '4096' },
    quick: { type: 'boolean', default: false },
    runs: { type: 'string', default: '3' },
    directory: { type: 'string', default: '/var/tmp' },
  },
});

const OURS = 'cargo (sealed)';

type Measurement = { seconds: number; note?: string };
type Way = { name: string; run: (source: string, target: string) => Promise<Measurement> };

const directory = fs.mkdtempSync(join(values.directory, 'cargo-bench-'));
const pem = join(directory, 'identity.pem');

const ways: Way[] = [
  { name: OURS, run: runCargo },
  { name: 'tar | tar (plain TCP)', run: runTar },
  { name: 'rsync daemon (plain TCP)', run: runRsync },
];

async function runCargo(source: string, target: string): Promise<Measurement> {
  const side = new URL('./transfer-side.ts', import.meta.url).pathname;
  const start = (...args: string[]): ChildProcess => {
    return spawn(process.execPath, [side, ...args, pem], { stdio: ['ignore', 'pipe', 'inherit'] });
  };
  const sender = linesOf(start('listen', '0', source, join(directory, 'state-source')));
  const port = await sender.next();
  const receiver = linesOf(start('connect', port, target, join(directory, 'state-target')));
  const [sent, received] = [JSON.parse(await sender.next()), JSON.parse(await receiver.next())];
  for (const state of ['state-source', 'state-target']) fs.rmSync(join(directory, state), { recursive: true });
  return {
    seconds: received.seconds,
    note: `cpu ${sent.cpuSeconds.toFixed(1)}+${received.cpuSeconds.toFixed(1)} s, peak RSS ${sent.peakMiB}+${received.peakMiB} MiB`,
  };
}

function linesOf(child: ChildProcess): { next: () => Promise<string> } {
  if (child.stdout === null) throw new Error('no output');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    next: async () => {
      const { value, done } = await lines.next();
      if (done) throw new Error('a side of the transfer ended early');
      return value;
    },
  };
}

/** The sockets are the tars' own standard input and output: nothing in between. */
async function runTar(source: string, target: string): Promise<Measurement> {
  const listener = `
import socket, subprocess, sys
s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)
c, _ = s.accept()
sys.exit(subprocess.call(['tar', '-C', sys.argv[1], '--xattrs', '--xattrs-include=*', '--acls', '-xp'], stdin=c.fileno()))
`;
  const receiver = spawn('python3', ['-c', listener, target], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await linesOf(receiver).next();
  const began = performance.now();
  const pipe = 'exec 3<>/dev/tcp/127.0.0.1/$1; exec tar -C "$2" --xattrs --acls -cS . >&3';
  const ended = once(receiver, 'exit');
  execFileSync('bash', ['-c', pipe, 'tar', port, source]);
  await ended;
  execFileSync('sync', ['-f', target]);
  return { seconds: (performance.now() - began) / 1000 };
}

async function runRsync(source: string, target: string): Promise<Measurement> {
  const config = join(directory, 'rsyncd.conf');
  const port = 20_000 + (process.pid % 20_000);
  const settings = ['use chroot = no', 'reverse lookup = no', 'uid = 0', 'gid = 0', '[to]', `path = ${target}`];
  fs.writeFileSync(config, `${[...settings, 'read only = no'].join('\n')}\n`);
  const args = ['--daemon', '--no-detach', `--config=${config}`, `--port=${port}`, '--address=127.0.0.1'];
  const daemon = spawn('rsync', args, { stdio: 'inherit' });
  try {
    await untilListening(port);
    const began = performance.now();
    execFileSync('rsync', ['-aHAXS', '--numeric-ids', `${source}/`, `rsync://127.0.0.1:${port}/to/`]);
    execFileSync('sync', ['-f', target]);
    return { seconds: (performance.now() - began) / 1000 };
  } finally {
    const ended = once(daemon, 'exit');
    daemon.kill('SIGTERM');
    await ended;
  }
}

async function untilListening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const probe = spawn('bash', ['-c', `exec 3<>/dev/tcp/127.0.0.1/${port}`], { stdio: 'ignore' });
    const [status] = await once(probe, 'exit');
    if (status === 0) return;
  }
  throw new Error('the rsync daemon does not listen');
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2;
}

async function compare(title: string, source: string, mib: number, files: number): Promise<void> {
  const seconds = new Map<string, number[]>(ways.map(({ name }) => [name, []]));
  let note = '';
  for (let run = 0; run < Number(values.runs); run += 1) {
    for (const way of ways) {
      const target = join(directory, 'target');
      fs.mkdirSync(target);
      const measured = await way.run(source, target);
      seconds.get(way.name)?.push(measured.seconds);
      note = measured.note ?? note;
      fs.rmSync(target, { recursive: true });
      execFileSync('sync', ['-f', directory]);
    }
  }
  const ours = median(seconds.get(OURS) ?? []);
  console.log(`\n${title} (${values.runs} runs each, medians; cargo: ${note})`);
  for (const [name, all] of seconds) {
    const middle = median(all);
    const rate = `${(mib / middle).toFixed(0).padStart(5)} MiB/s ${(files / middle).toFixed(0).padStart(6)} files/s`;
    const ratio = (middle / ours).toFixed(2);
    console.log(`  ${name.padEnd(26)} ${middle.toFixed(2).padStart(7)} s ${rate}   cargo is ${ratio} times as fast`);
  }
}

function makeFiles(path: string, count: number, bytes: number): void {
  for (let index = 0; index < count; index += 1) {
    const folder = join(path, `d${Math.floor(index / 1000)}`);
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(join(folder, `file-${index}`), randomBytes(bytes));
  }
  execFileSync('sync', ['-f', path]);
}

try {
  const subject = ['-subj', '/CN=bench', '-addext', 'basicConstraints=critical,CA:TRUE'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '-'];
  const request = ['req', '-x509', '-days', '1', ...key, ...subject];
  fs.writeFileSync(pem, execFileSync('openssl', request, { stdio: ['ignore', 'pipe', 'ignore'] }), { mode: 0o600 });
  const share = values.quick ? 4 : 1;
  const bulk = { files: Number(values['bulk-files']) / share, mib: Number(values['bulk-mib']) };
  const small = { files: Number(values['small-files']) / share, bytes: Number(values['small-bytes']) };
  makeFiles(join(directory, 'bulk'), bulk.files, bulk.mib << 20);
  makeFiles(join(directory, 'small'), small.files, small.bytes);
  const bulkTitle = `${bulk.files} files of ${bulk.mib} MiB`;
  await compare(bulkTitle, join(directory, 'bulk'), bulk.files * bulk.mib, bulk.files);
  const smallMib = (small.files * small.bytes) / 2 ** 20;
  await compare(`${small.files} files of ${small.bytes} bytes`, join(directory, 'small'), smallMib, small.files);
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}
