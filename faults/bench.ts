import { type Account, Connection } from '../demo/connection.ts';
import { findHost, loadImage, waitUntil } from '../lab/index.ts';
import { FaultLab } from './fault-lab.ts';
import { CONTAINER, type HostName, hostNames, IMAGE, PORT, VOLUME } from './names.ts';

/** A server that does with 4 MB where the defaults take 150: a cell is to last seconds. */
const SMALL = [
  '[mariadbd]',
  'innodb_log_file_size=4M',
  'innodb_undo_tablespaces=0',
  'innodb_data_file_path=ibdata1:4M:autoextend',
  'innodb_buffer_pool_size=32M',
  'aria_log_file_size=8388608',
];

/** A lab with one small MariaDB in it that moves to and fro. */
export class Bench extends FaultLab {
  /** Where the database is between two cells. */
  home: HostName = 'h1';

  static override async start(name: string): Promise<Bench> {
    const bench = new Bench(await FaultLab.boot(name));
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

  /** The lab goes on without the database. */
  async removeDatabase(): Promise<void> {
    await this.shell(this.home, `docker rm -f ${CONTAINER}; docker volume rm ${VOLUME}`);
    await this.loadBusybox();
    this.recorder.forget();
  }

  async versions(): Promise<string> {
    const docker = await this.shell(this.home, "docker version --format '{{.Server.Version}}'");
    const database = await this.shell(this.home, `docker exec ${CONTAINER} mariadbd --version`);
    const number = /\d+\.\d+\.\d+/.exec(database)?.[0] ?? database;
    return `Docker ${docker}, MariaDB ${number}, Node.js ${process.version}`;
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
