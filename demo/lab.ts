import { z } from 'zod';
import { Host } from '../src/api/host.ts';
import { run } from './command.ts';

const MINUTE_MS = 60_000;

/** Two Docker hosts, h1 and h2, with Cargo on them, until the scope ends. */
export type Lab = AsyncDisposable & {
  name: string;
  /** Settings of cargoctl for this lab. */
  env: Record<string, string>;
  /** Runs a command in a host and returns its standard output. */
  exec(host: string, command: readonly string[], limitMs?: number): Promise<string>;
  /** As exec, shown as `h1# docker …`. */
  show(host: string, command: readonly string[]): Promise<void>;
  /** Loads an image of Debian's packages into a host. */
  image(host: string, image: 'mariadb' | 'busybox' | 'postgres'): Promise<void>;
};

/** Clears what an interrupted run left, then boots. `keep` leaves the lab up at the end. */
export async function bootLab(name: string, keep: boolean, signal: AbortSignal): Promise<Lab> {
  const lab = (args: readonly string[], limitMs: number) => run('cargo-lab', args, { limitMs, signal });
  await down(name);
  try {
    await lab(['up', '--hosts', '2', '--name', name], 15 * MINUTE_MS);
    const env = parseExports(await lab(['env', '--name', name], MINUTE_MS));
    const exec: Lab['exec'] = (host, command, limitMs = 5 * MINUTE_MS) =>
      lab(['exec', '--name', name, host, '--', ...command], limitMs);
    return {
      name,
      env,
      exec,
      async show(host, command) {
        console.log(`\n${host}# ${command.join(' ')}`);
        process.stdout.write(await exec(host, command));
      },
      async image(host, image) {
        await lab(['image', image, '--host', host, '--name', name], 15 * MINUTE_MS);
      },
      [Symbol.asyncDispose]: async () => (keep ? undefined : down(name)),
    };
  } catch (error) {
    if (!keep) await down(name);
    throw error;
  }
}

/** Heeds no signal: clearing up is what is done after one. */
async function down(name: string): Promise<void> {
  await run('cargo-lab', ['down', '--name', name], { limitMs: 3 * MINUTE_MS });
}

/** The `export name='value'` lines of `cargo-lab env`. */
export function parseExports(text: string): Record<string, string> {
  const lines = text.matchAll(/^export (\w+)='(.*)'$/gm);
  return Object.fromEntries([...lines].map(([, name = '', value = '']) => [name, value.replaceAll("'\\''", "'")]));
}

/** The hosts' addresses by their names. */
export async function addressesOf(lab: Lab, signal: AbortSignal): Promise<(name: string) => string> {
  const { hosts } = await cargoctlJson(lab, signal, ['hosts'], z.object({ hosts: z.array(Host) }));
  return (name) => {
    const host = hosts.find((candidate) => candidate.name === name);
    if (host === undefined) throw new Error(`host ${name} is not registered`);
    return host.dataAddress.replace(/:\d+$/, '');
  };
}

export async function cargoctlJson<T>(lab: Lab, signal: AbortSignal, args: string[], answer: z.ZodType<T>): Promise<T> {
  const text = await run('cargoctl', [...args, '-o', 'json'], { env: lab.env, limitMs: 60_000, signal });
  return answer.parse(JSON.parse(text));
}
