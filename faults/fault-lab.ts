import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  callServer,
  downLab,
  faultPointsOf,
  findHost,
  type Lab,
  loadImage,
  runInHost,
  serverFaultPoints,
  serverLog,
  upLab,
} from '../lab/index.ts';
import { type HostName, hostNames } from './names.ts';
import { RunRecorder } from './run-recorder.ts';
import { FaultStops } from './stops.ts';

export type Ran = { status: number; stdout: string; stderr: string };

/** Two hosts and a server whose processes stop where a test wants to strike, and what is needed to watch them. */
export class FaultLab implements AsyncDisposable {
  readonly lab: Lab;
  readonly stops: FaultStops;
  readonly recorder: RunRecorder;

  protected constructor(lab: Lab) {
    this.lab = lab;
    this.stops = new FaultStops({
      server: () => serverFaultPoints(lab),
      host: (name) => faultPointsOf(lab, findHost(lab, name)),
    });
    this.recorder = new RunRecorder(lab);
  }

  /** With busybox on h1, and nothing that runs. */
  static async start(name: string): Promise<FaultLab> {
    const started = new FaultLab(await FaultLab.boot(name));
    await started.#begin().catch((error: unknown) => started[Symbol.asyncDispose]().then(() => Promise.reject(error)));
    return started;
  }

  protected static async boot(name: string): Promise<Lab> {
    await downLab(name);
    return upLab({ name, hosts: 2, fs: 'ext4', diskBytes: 4 * 2 ** 30, bare: false, faultPoints: true });
  }

  async #begin(): Promise<void> {
    await this.loadBusybox();
    await this.recorder.start();
  }

  async loadBusybox(): Promise<void> {
    await loadImage(this.lab, findHost(this.lab, 'h1'), 'busybox', 'lab');
  }

  /** A shell script in a host, whatever comes of it. */
  tryShell(host: HostName, script: string): Promise<Ran> {
    return runInHost(this.lab, findHost(this.lab, host), ['sh', '-ec', script]);
  }

  /** A shell script in a host, which must succeed; gives its trimmed output. */
  async shell(host: HostName, script: string): Promise<string> {
    const { status, stdout, stderr } = await this.tryShell(host, script);
    if (status !== 0) throw new Error(`${host}: ${script} exited with ${status}: ${stderr || stdout}`);
    return stdout.trim();
  }

  server(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<unknown> {
    return callServer(this.lab, method, path, body);
  }

  /** What all parts of Cargo said, for who looks into a failed cell. */
  async keepLogs(name: string): Promise<void> {
    const directory = join(import.meta.dirname, '../dist/faults-logs', name.replaceAll('/', '-'));
    mkdirSync(directory, { recursive: true });
    copyFileSync(serverLog(this.lab), join(directory, 'server.log'));
    for (const host of hostNames) {
      const said = await this.shell(host, 'cat /var/log/cargo-agent.log').catch(String);
      writeFileSync(join(directory, `${host}.log`), said);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.recorder.stop();
    rmSync(serverFaultPoints(this.lab), { recursive: true, force: true });
    await downLab(this.lab.name);
  }
}
