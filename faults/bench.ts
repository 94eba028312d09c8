import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Account, Connection } from '../demo/connection.ts';
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
  waitUntil,
} from '../lab/index.ts';
import { CONTAINER, type HostName, hostNames, IMAGE, PORT, VOLUME } from './names.ts';
import { RunRecorder } from './run-recorder.ts';
import { FaultStops } from './stops.ts';

/** A server that does with 4 MB where the defaults take 150: a cell is to last seconds. */
const SMALL = [
  '[mariadbd]',
  'innodb_log_file_size=4M',
  'innodb_undo_tablespaces=0',
  'innodb_data_file_path=ibdata1:4M:autoextend',
  'innodb_buffer_pool_size=32M',
  'aria_log_file_size=8388608',
];

/** A lab with one small MariaDB in it that moves to and fro, and what is needed to watch it. */
export class Bench implements AsyncDisposable {
  readonly lab: Lab;
  readonly stops: FaultStops;
  readonly recorder: RunRecorder;
  /** Where the database is between two cells. */
  home: HostName = 'h1';

  private constructor(lab: Lab) {
    this.lab = lab;
    this.stops = new FaultStops({
      server: () => serverFaultPoints(lab),
      host: (name) => faultPointsOf(lab, findHost(lab, name)),
    });
    this.recorder = new RunRecorder(lab);
  }

  static async start(name: string): Promise<Bench> {
    await downLab(name);
    const bench = new Bench(
      await upLab({ name, hosts: 2, fs: 'ext4', diskBytes: 4 * 2 ** 30, bare: false, faultPoints: true }),
    );
    try {
      await bench.#fill();
    } catch (error) {
      await bench[Symbol.asyncDispose]();
      throw error;
    }
    return bench;
  }

  get away(): HostName {
    return this.home === 'h1' ? 'h2' : 'h1';
  }

  account(host: HostName): Account {
    return { host: findHost(this.lab, host).address, port: PORT, user: 'demo', database: 'demo' };
  }

  /** A shell script in a host, which must succeed; gives its trimmed output. */
  async shell(host: HostName, script: string): Promise<string> {
    const { status, stdout, stderr } = await runInHost(this.lab, findHost(this.lab, host), ['sh', '-ec', script]);
    if (status !== 0) throw new Error(`${host}: ${script} exited with ${status}: ${stderr || stdout}`);
    return stdout.trim();
  }

  server(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<unknown> {
    return callServer(this.lab, method, path, body);
  }

  async versions(): Promise<string> {
    const docker = await this.shell(this.home, "docker version --format '{{.Server.Version}}'");
    const database = await this.shell(this.home, `docker exec ${CONTAINER} mariadbd --version`);
    const number = /\d+\.\d+\.\d+/.exec(database)?.[0] ?? database;
    return `Docker ${docker}, MariaDB ${number}, Node.js ${process.version}`;
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

  /** The image differs from what the other host has by one small layer, so that each move has one to bring. */
  async #fill(): Promise<void> {
    for (const host of hostNames) await loadImage(this.lab, findHost(this.lab, host), 'mariadb', 'lab');
    const write = `printf %s\\\\n ${SMALL.map((line) => `"${line}"`).join(' ')} >/etc/mysql/mariadb.conf.d/99-small.cnf`;
    const changes = `--change 'ENTRYPOINT ["/usr/local/bin/entrypoint"]' --change 'CMD ["mariadbd"]'`;
    await this.shell('h1', `docker run --name made --entrypoint sh mariadb:lab -c '${write.replaceAll("'", '')}'`);
    await this.shell('h1', `docker commit ${changes} made ${IMAGE}; docker rm made`);
    const env = ['MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1', 'MARIADB_DATABASE=demo', 'MARIADB_USER=demo'];
    const options = `--restart always -v ${VOLUME}:/var/lib/mysql -p ${PORT}:3306 ${env.map((line) => `-e ${line}`).join(' ')}`;
    await this.shell('h1', `docker run -d --name ${CONTAINER} ${options} ${IMAGE}`);
    await waitUntil('the database takes connections', 120_000, () => this.#isOpen('h1'), 200);
    // What the bench itself brought is to outlast the power cuts.
    for (const host of hostNames) await this.shell(host, 'sync');
    await this.recorder.start();
  }

  async #isOpen(host: HostName): Promise<true | undefined> {
    try {
      using connection = await Connection.open(this.account(host), 1_000);
      await connection.query('SELECT 1', 5_000);
      return true;
    } catch {
      return undefined; // not yet
    }
  }
}
