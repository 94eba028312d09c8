import { run } from './command.ts';

const NAME = 'demo';
const MINUTE_MS = 60_000;

/** Two Docker hosts, h1 and h2, with Cargo on them, until the scope ends. */
export type Lab = AsyncDisposable & {
  /** Settings of cargoctl for this lab. */
  env: Record<string, string>;
  /** Runs a command in a host and returns its standard output. */
  exec(host: string, command: readonly string[], limitMs?: number): Promise<string>;
  /** As exec, shown as `h1# docker …`. */
  show(host: string, command: readonly string[]): Promise<void>;
  /** Loads an image of Debian's packages into a host. */
  image(host: string, image: 'mariadb'): Promise<void>;
};

/** Clears what an interrupted run left, then boots. `keep` leaves the lab up at the end. */
export async function bootLab(keep: boolean, signal: AbortSignal): Promise<Lab> {
  const lab = (args: readonly string[], limitMs: number) => run('cargo-lab', args, { limitMs, signal });
  await down();
  try {
    await lab(['up', '--hosts', '2', '--name', NAME], 15 * MINUTE_MS);
    const env = parseExports(await lab(['env', '--name', NAME], MINUTE_MS));
    const exec: Lab['exec'] = (host, command, limitMs = 5 * MINUTE_MS) =>
      lab(['exec', '--name', NAME, host, '--', ...command], limitMs);
    return {
      env,
      exec,
      async show(host, command) {
        console.log(`\n${host}# ${command.join(' ')}`);
        process.stdout.write(await exec(host, command));
      },
      async image(host, image) {
        await lab(['image', image, '--host', host, '--name', NAME], 15 * MINUTE_MS);
      },
      [Symbol.asyncDispose]: async () => (keep ? undefined : down()),
    };
  } catch (error) {
    if (!keep) await down();
    throw error;
  }
}

/** Heeds no signal: clearing up is what is done after one. */
async function down(): Promise<void> {
  await run('cargo-lab', ['down', '--name', NAME], { limitMs: 3 * MINUTE_MS });
}

/** The `export NAME='value'` lines of `cargo-lab env`. */
export function parseExports(text: string): Record<string, string> {
  const lines = text.matchAll(/^export (\w+)='(.*)'$/gm);
  return Object.fromEntries([...lines].map(([, name = '', value = '']) => [name, value.replaceAll("'\\''", "'")]));
}
