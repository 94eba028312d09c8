import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { Engine } from '../../../src/agent/docker/index.ts';
import { exportImage } from '../../../src/agent/image/index.ts';
import type { MigrationRecord } from '../../../src/agent/migrations/record.ts';
import type {
  DescribeResponse,
  PreflightRequest,
  PreflightResponse,
  StepInput,
  StepName,
  StepOutput,
} from '../../../src/api/agent-steps.ts';
import type { HarnessCommand, HarnessQuestion } from './harness-messages.ts';

const root = join(import.meta.dirname, '../../..');
const cargoLab = join(root, 'bin/cargo-lab');

type Step = Exclude<StepName, 'copy' | 'verify'>;
type Answer = { id: number; result?: unknown; error?: { code: string; message: string; details?: unknown } };
type Image = { id: string; reference: string; layers: string[] };

export class HarnessError extends Error {
  readonly code: string;
  readonly details: unknown;

  constructor(error: { code: string; message: string; details?: unknown }) {
    super(`${error.code}: ${error.message}`);
    this.code = error.code;
    this.details = error.details;
  }
}

/** A Docker host of the lab with the agent's container part running in it. */
export class DockerHost implements Disposable {
  readonly name: string;
  /** Where the host's file system is seen from here. */
  readonly root: string;
  /** Where images for this host come from, and what each asking said it has. */
  imageSource: DockerHost | null = null;
  readonly imageRequests: string[][] = [];
  readonly #lab: string;
  readonly #harness;
  readonly #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  readonly #images = new Map<string, Image>();
  #lastId = 0;

  constructor(lab: string, name: string) {
    this.#lab = lab;
    this.name = name;
    this.root = execFileSync(cargoLab, ['path', name, '--name', lab], { encoding: 'utf8' }).trim();
    const program = ['/opt/cargo/node_modules/node/bin/node', '/opt/cargo/test/system/docker/harness.ts'];
    this.#harness = spawn(cargoLab, ['exec', '--name', lab, name, '--', ...program], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    createInterface({ input: this.#harness.stdout }).on('line', (line) => {
      const message = JSON.parse(line) as Answer | HarnessQuestion;
      if ('asksForImage' in message) void this.#bringImage(message);
      else this.#settle(message);
    });
    this.#harness.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`the harness of ${name} ended`));
    });
  }

  [Symbol.dispose](): void {
    this.#harness.stdin.end();
  }

  /** `docker …` in the host; its trimmed output. Throws when it fails. */
  docker(...args: string[]): string {
    return this.exec('docker', ...args);
  }

  exec(...command: string[]): string {
    const ran = this.tryExec(...command);
    if (ran.status !== 0) throw new Error(`${this.name}: ${command.join(' ')}: ${ran.stderr}${ran.stdout}`);
    return ran.stdout.trim();
  }

  tryExec(...command: string[]): { status: number | null; stdout: string; stderr: string } {
    // What `cargo-lab exec` does but for the control groups, in a tenth of the time.
    const namespaces = ['--target', this.root.split('/')[2] ?? '', ...['-m', '-u', '-i', '-n', '-p', '-r', '-w']];
    const env = { PATH: process.env['PATH'] ?? '', HOME: '/root' };
    return spawnSync('nsenter', [...namespaces, ...command], { env, encoding: 'utf8', maxBuffer: 64 * 1024 ** 2 });
  }

  /** As `exec`, as a service of the host: what it starts ends with the host. */
  service(...command: string[]): void {
    execFileSync(cargoLab, ['exec', '--name', this.#lab, this.name, '--', ...command]);
  }

  inspect(container: string): Record<string, unknown> {
    return JSON.parse(this.docker('inspect', '--type', 'container', container))[0];
  }

  describe(container: string): Promise<DescribeResponse> {
    return this.#ask({ op: 'describe', container }) as Promise<DescribeResponse>;
  }

  preflight(request: PreflightRequest): Promise<PreflightResponse> {
    return this.#ask({ op: 'preflight', request }) as Promise<PreflightResponse>;
  }

  step<S extends Step>(
    migrationId: string,
    step: S,
    input: StepInput<S>,
    crashAtUpdate?: number,
  ): Promise<StepOutput<S>> {
    if (step === 'stage') this.#images.set(migrationId, (input as StepInput<'stage'>).definition.image);
    const crash = crashAtUpdate === undefined ? {} : { crashAtUpdate };
    return this.#ask({ op: 'step', migrationId, step, input, ...crash }) as Promise<StepOutput<S>>;
  }

  record(migrationId: string): Promise<MigrationRecord | null> {
    return this.#ask({ op: 'record', migrationId }) as Promise<MigrationRecord | null>;
  }

  async hold(migrationId: string): Promise<void> {
    await this.#ask({ op: 'hold', migrationId });
  }

  #ask(command: HarnessCommand): Promise<unknown> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#harness.stdin.write(`${JSON.stringify({ id, ...command })}\n`);
    });
  }

  #settle({ id, result, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new HarnessError(error));
  }

  async #bringImage({ asksForImage, haveLayers, directory }: HarnessQuestion): Promise<void> {
    const image = this.#images.get(asksForImage);
    const source = this.imageSource;
    if (image === undefined || source === null) throw new Error('no test said where images come from');
    this.imageRequests.push(haveLayers);
    const engine = new Engine(join(source.root, 'run/docker.sock'));
    const definition = { ...image, referenceIsCurrent: true, bytes: 0, architecture: '', os: '' };
    const tar = await exportImage(engine, definition, haveLayers, AbortSignal.timeout(60_000));
    const path = join(directory, 'image.tar');
    await pipeline(tar, createWriteStream(join(this.root, path)));
    await this.#ask({ op: 'image', migrationId: asksForImage, path });
  }
}
