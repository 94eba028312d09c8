import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { inject } from 'vitest';
import { z } from 'zod';
import { Host } from '../../src/api/host.ts';

const bin = join(import.meta.dirname, '../../bin');

const Hosts = z.object({ hosts: z.array(Host) });

export type Ran = { status: number; stdout: string; stderr: string };

/** The lab of this test run, driven as an operator would: through its programs alone. */
export class LabUnderTest {
  readonly name: string;
  readonly #env: Record<string, string>;

  private constructor(name: string, env: Record<string, string>) {
    this.name = name;
    this.#env = env;
  }

  static async open(name: string = inject('lab')): Promise<LabUnderTest> {
    const { stdout } = await run('cargo-lab', ['env', '--name', name], {});
    const lines = [...stdout.matchAll(/^export ([A-Z_]+)='(.*)'$/gm)];
    return new LabUnderTest(name, Object.fromEntries(lines.map(([, key = '', value = '']) => [key, value])));
  }

  get server(): string {
    return this.#env['CARGO_SERVER'] ?? '';
  }

  get token(): string {
    return this.#env['CARGO_TOKEN'] ?? '';
  }

  get ca(): string {
    return this.#env['CARGO_CA'] ?? '';
  }

  /** The host's address, which the machine reaches. */
  async address(host: string): Promise<string> {
    const { hosts } = Hosts.parse(await this.json('hosts'));
    const found = hosts.find(({ name }) => name === host);
    if (found === undefined) throw new Error(`host ${host} is not registered`);
    return found.dataAddress.replace(/:\d+$/, '');
  }

  cargoctl(...args: string[]): Promise<Ran> {
    return run('cargoctl', args, this.#env);
  }

  /** Runs cargoctl with `-o json`, which must succeed, and returns what it printed. */
  async json(...args: string[]): Promise<unknown> {
    const ran = await this.cargoctl(...args, '-o', 'json');
    if (ran.status !== 0) throw new Error(`cargoctl ${args.join(' ')} exited with ${ran.status}: ${ran.stderr}`);
    return JSON.parse(ran.stdout);
  }

  lab(...args: string[]): Promise<Ran> {
    const [command = '', ...rest] = args;
    return run('cargo-lab', [command, '--name', this.name, ...rest], {});
  }

  exec(host: string, ...command: string[]): Promise<Ran> {
    return run('cargo-lab', ['exec', '--name', this.name, host, '--', ...command], {});
  }

  /** Runs a command in a host, which must succeed; returns its trimmed output. */
  async must(host: string, ...command: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.exec(host, ...command);
    if (status !== 0) throw new Error(`${host}: ${command.join(' ')} exited with ${status}: ${stderr || stdout}`);
    return stdout.trim();
  }
}

function run(program: string, args: string[], env: Record<string, string>): Promise<Ran> {
  const options = { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024, timeout: 170_000 };
  return new Promise((resolve) => {
    execFile(join(bin, program), args, options, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, stdout, stderr });
    });
  });
}
