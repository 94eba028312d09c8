import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { inject } from 'vitest';
import { z } from 'zod';
import { callServer, findHost, loadLab, runInHost } from '../../lab/index.ts';
import { Host } from '../../src/api/host.ts';
import { Migration } from '../../src/api/migration.ts';

const bin = join(import.meta.dirname, '../../bin');

const Hosts = z.object({ hosts: z.array(Host) });
const LIMIT_MS = 170_000;

export type Ran = { status: number; stdout: string; stderr: string };

/**
 * The lab of this test run, driven as an operator would: through its programs. What is only looked at, again and again,
 * is asked of the server's API and of the hosts without one: starting a program costs half a second.
 */
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

  /** What its agent says of itself. */
  async host(name: string): Promise<Host> {
    const { hosts } = Hosts.parse(await this.json('hosts'));
    const found = hosts.find((host) => host.name === name);
    if (found === undefined) throw new Error(`host ${name} is not registered`);
    return found;
  }

  /** The host's address, which the machine reaches. */
  async address(host: string): Promise<string> {
    return (await this.host(host)).dataAddress.replace(/:\d+$/, '');
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

  /** The latest migration of a container. */
  async status(container: string): Promise<Migration> {
    const path = `/v1/containers/${encodeURIComponent(container)}/migration`;
    return Migration.parse(await callServer(loadLab(this.name), 'GET', path));
  }

  /** Loads an image of the lab's into these hosts, unless they have it. */
  async image(name: string, ...hosts: string[]): Promise<void> {
    const load = async (host: string): Promise<void> => {
      const { status } = await this.exec(host, 'docker', 'image', 'inspect', `${name}:lab`);
      if (status !== 0) await this.lab('image', name, '--host', host);
    };
    await Promise.all(hosts.map(load));
  }

  /** Removes all containers and volumes of these hosts, and does what else is said. */
  async sweep(hosts: readonly string[], more = 'true'): Promise<void> {
    const all = 'docker ps -aq | xargs -r docker rm -fv; docker volume ls -q | xargs -r docker volume rm';
    await Promise.all(hosts.map((host) => this.exec(host, 'sh', '-c', `${all}; ${more}`)));
  }

  async exec(host: string, ...command: string[]): Promise<Ran> {
    const lab = loadLab(this.name);
    try {
      return await runInHost(lab, findHost(lab, host), command, { timeoutMs: LIMIT_MS });
    } catch (error) {
      return { status: 1, stdout: '', stderr: String(error) };
    }
  }

  /** Runs a command in a host, which must succeed; returns its trimmed output. */
  async must(host: string, ...command: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.exec(host, ...command);
    if (status !== 0) throw new Error(`${host}: ${command.join(' ')} exited with ${status}: ${stderr || stdout}`);
    return stdout.trim();
  }
}

function run(program: string, args: string[], env: Record<string, string>): Promise<Ran> {
  const options = { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024, timeout: LIMIT_MS };
  return new Promise((resolve) => {
    execFile(join(bin, program), args, options, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, stdout, stderr });
    });
  });
}
