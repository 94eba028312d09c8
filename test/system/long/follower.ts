import { expect } from 'vitest';
import type { LabUnderTest } from '../lab.ts';

const ARRIVAL_LIMIT_MS = 240_000;

export type FollowerOptions = {
  name: string;
  from: string;
  /** Shell words before the image: restart policy, stop signal. */
  docker?: readonly string[];
  /** Each of 1 MB of random bytes, with its sum in /data/sums. */
  files: readonly string[];
  /** Shell: what the container does once its files are there. */
  work?: string;
};

/** A container whose volume has large files with known sums, and that is moved lazily. */
export class Follower {
  readonly name: string;
  readonly #lab: LabUnderTest;
  readonly #files: readonly string[];

  private constructor(lab: LabUnderTest, name: string, files: readonly string[]) {
    this.#lab = lab;
    this.name = name;
    this.#files = files;
  }

  static async start(lab: LabUnderTest, options: FollowerOptions): Promise<Follower> {
    const { name, from, docker = [], files, work = 'trap "exit 0" TERM; while :; do sleep 0.1; done' } = options;
    const fill = `for i in ${files.join(' ')}; do head -c 1000000 /dev/urandom > $i; done; md5sum ${files.join(' ')} > sums; touch done`;
    const run = `cd /data; test -e done || { ${fill}; }; echo started >> starts; ${work}`;
    await lab.must(
      from,
      ...['docker', 'run', '-d', '--name', name, ...docker, '-v', `${name}:/data`, 'busybox:lab', 'sh', '-c', run],
    );
    const follower = new Follower(lab, name, files);
    await expect.poll(async () => (await follower.exec(from, 'test -e starts')).status).toBe(0);
    return follower;
  }

  exec(host: string, script: string) {
    return this.#lab.exec(host, 'docker', 'exec', '-w', '/data', this.name, 'sh', '-c', script);
  }

  async must(host: string, script: string): Promise<string> {
    return this.#lab.must(host, 'docker', 'exec', '-w', '/data', this.name, 'sh', '-c', script);
  }

  /** Moves it lazily. @param bwlimit of what nobody touches */
  async migrate(to: string, bwlimit: string): Promise<void> {
    await this.ctl('migrate', this.name, '--to', to, '--strategy', 'lazy', '--bwlimit', bwlimit);
  }

  /** Runs cargoctl, which must succeed. */
  async ctl(...args: string[]): Promise<void> {
    const ran = await this.#lab.cargoctl(...args);
    expect(ran, ran.stderr).toMatchObject({ status: 0 });
  }

  async phase(): Promise<string> {
    return (await this.#lab.status(this.name)).phase;
  }

  /** What Docker says of it. */
  inspect(host: string, format: string): Promise<string> {
    return this.#lab.must(host, 'docker', 'inspect', '-f', format, this.name);
  }

  async isRunning(host: string): Promise<boolean> {
    const { stdout } = await this.#lab.exec(host, 'docker', 'inspect', '-f', '{{.State.Running}}', this.name);
    return stdout.trim() === 'true';
  }

  /** Reads a file as the container sees it and compares its sum: what is missing of it comes now. */
  async reads(host: string, file: string): Promise<void> {
    expect(await this.must(host, `grep " ${file}$" sums | md5sum -c`)).toBe(`${file}: OK`);
  }

  /** The rest comes as fast as it can; it ends with every byte right. */
  async arrives(host: string): Promise<void> {
    if ((await this.phase()) === 'hydrating') await this.ctl('set', this.name, '--bwlimit', 'none');
    await expect.poll(() => this.phase(), { timeout: ARRIVAL_LIMIT_MS }).toBe('copied');
    await this.isWhole(host);
  }

  /** By a container of its own: this one may be stopped. */
  async isWhole(host: string): Promise<void> {
    const check = ['docker', 'run', '--rm', '-v', `${this.name}:/data`, '-w', '/data', 'busybox:lab'];
    const found = await this.#lab.must(host, ...check, 'md5sum', '-c', 'sums');
    expect(found).toBe(this.#files.map((file) => `${file}: OK`).join('\n'));
  }
}
