/**
 * `GET /cargo` of a server with many hosts: how long the answer takes, over TLS on loopback. Server and agents are processes
 * of their own; every agent proves itself to the server, and the server to it, and heartbeats go on meanwhile.
 *
 *   node bench/control-plane.ts [--agents 200] [--containers 10000] [--calls 300] [--quick]
 *
 * `--quick`: a third of the calls. Calls follow one another. Each answer must name every container; one in ten calls is
 * followed by `GET /v1/containers`, in which the hosts that did not answer in time are counted.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Agent, request } from 'undici';
import { z } from 'zod';
import { CreateTokenResponse } from '../src/api/join.ts';
import { describeMachine } from './machine.ts';

const AIM_MS = 250;
const STALE_EVERY = 10;
/** What a processor's tick is worth in /proc/<pid>/stat, on every Linux. */
const TICK_MS = 10;

const { values } = parseArgs({
  options: {
    agents: { type: 'string', default: '200' },
    containers: { type: 'string', default: '10000' },
    calls: { type: 'string', default: '300' },
    quick: { type: 'boolean', default: false },
  },
});
const [agents, containers] = [Number(values.agents), Number(values.containers)];
const calls = Math.ceil(Number(values.calls) / (values.quick ? 3 : 1));

await using undo = new AsyncDisposableStack();
const interruption = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interruption.abort());
const dataDir = fs.mkdtempSync('/var/tmp/cargo-bench-');
undo.defer(() => fs.rmSync(dataDir, { recursive: true, force: true }));

const server = start('src/server/main.ts', '--listen', '127.0.0.1:0', '--data-dir', dataDir, '--log-level', 'info');
const url = `https://127.0.0.1:${await portOf(server)}`;
const client = new Agent({ connect: { ca: fs.readFileSync(join(dataDir, 'ca.pem'), 'utf8') } });
undo.defer(() => client.destroy());
const authorization = `Bearer ${fs.readFileSync(join(dataDir, 'admin-token'), 'utf8').trim()}`;

const { token } = CreateTokenResponse.parse(await call('POST', '/v1/tokens', { uses: agents }));
fs.writeFileSync(join(dataDir, 'bench-token'), token, { mode: 0o600 });
const each = String(Math.round(containers / agents));
const hosts = start('bench/simulated-agents.ts', url, dataDir, String(agents), each);
await lineOf(hosts, 'stdout', (line) => line === 'ready');

const Original = z.record(z.string(), z.array(z.unknown()));
const Listed = z.object({ hosts: z.array(z.object({ stale: z.boolean(), containers: z.array(z.unknown()) })) });
const times: number[] = [];
let stale = 0;
await call('GET', '/cargo');
const cpuBefore = cpuMs(server);
for (let index = 0; index < calls; index += 1) {
  const began = performance.now();
  const text = await fetchText('GET', '/cargo');
  times.push(performance.now() - began);
  const listed = Object.values(Original.parse(JSON.parse(text))).flat().length;
  if (listed !== containers) throw new Error(`${listed} of ${containers} containers were listed`);
  if (index % STALE_EVERY !== 0) continue;
  const all = Listed.parse(await call('GET', '/v1/containers'));
  stale += all.hosts.filter((host) => host.stale).length;
}
const cpu = (cpuMs(server) - cpuBefore) / (calls + Math.ceil(calls / STALE_EVERY));

times.sort((a, b) => a - b);
const at = (part: number): string => `${(times[Math.floor(times.length * part)] ?? Number.NaN).toFixed(0)} ms`;
console.log(`GET /cargo, ${agents} agents, ${containers} containers, ${calls} calls; ${describeMachine()}`);
console.log(`p50 ${at(0.5)}  p90 ${at(0.9)}  p99 ${at(0.99)}  longest ${at(0.9999)}  aim: p99 ${AIM_MS} ms`);
console.log(`server's CPU time a call, heartbeats included: ${cpu.toFixed(0)} ms; stale hosts: ${stale}`);
console.log(
  `| \`bench/control-plane.ts\`: \`GET /cargo\` with ${agents} agents and ${containers} containers, p99 at most ${AIM_MS} ms | p50 ${at(0.5)}, p99 ${at(0.99)} over ${calls} calls, ${stale} stale; ${cpu.toFixed(0)} ms of the server's CPU time a call; ${describeMachine()} |`,
);

function start(script: string, ...args: string[]): ChildProcess {
  const path = join(import.meta.dirname, '..', script);
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  undo.defer(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  });
  return child;
}

/** The first such line; what the program says after it is read and dropped. */
async function lineOf(
  child: ChildProcess,
  from: 'stdout' | 'stderr',
  isIt: (line: string) => boolean,
): Promise<string> {
  const stream = child[from];
  if (stream === null) throw new Error('no output');
  if (from === 'stdout') child.stderr?.pipe(process.stderr);
  const found = Promise.withResolvers<string>();
  const seen: string[] = [];
  createInterface({ input: stream })
    .on('line', (line) => {
      if (isIt(line)) found.resolve(line);
      else if (seen.length < 20) seen.push(line);
    })
    .on('close', () => found.reject(new Error(`a process ended early: ${seen.join('\n')}`)));
  interruption.signal.addEventListener('abort', () => found.reject(interruption.signal.reason), { once: true });
  return await found.promise;
}

async function portOf(child: ChildProcess): Promise<number> {
  const line = await lineOf(child, 'stderr', (text) => text.includes('cargo-server is ready'));
  return z.object({ listen: z.object({ port: z.int() }) }).parse(JSON.parse(line)).listen.port;
}

async function fetchText(method: 'GET' | 'POST', path: string, body?: unknown): Promise<string> {
  const json = body === undefined ? {} : { 'content-type': 'application/json' };
  const answer = await request(url + path, {
    method,
    headers: { authorization, ...json },
    body: body === undefined ? null : JSON.stringify(body),
    dispatcher: client,
    signal: interruption.signal,
  });
  const text = await answer.body.text();
  if (answer.statusCode >= 300) throw new Error(`${path}: HTTP ${answer.statusCode}: ${text}`);
  return text;
}

async function call(method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown> {
  return JSON.parse(await fetchText(method, path, body));
}

/** User and system time of a process. */
function cpuMs({ pid }: ChildProcess): number {
  const fields = fs
    .readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
