import { chmodSync, copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { debianTree, recipeKey } from '../tree.ts';
import type { Image, ImageConfig } from './archive.ts';
import { difference } from './difference.ts';
import { layerOf } from './layer.ts';

/** Made to be used like the official image of the same name: its environment, port and volume. */
type Database = {
  packages: string[];
  /** What the packages' set-up leaves in the tree: a volume must start empty. */
  waste: string[];
  command: string;
  port: number;
  dataDir: string;
  health: string;
  env: string[];
  stopSignal: 'SIGTERM' | 'SIGINT';
};

const databases = {
  mariadb: {
    packages: ['mariadb-server'],
    waste: ['var/lib/mysql'],
    command: 'mariadbd',
    port: 3306,
    dataDir: '/var/lib/mysql',
    health: 'mariadb-admin --user=healthcheck ping',
    env: [],
    stopSignal: 'SIGTERM',
  },
  redis: {
    // SQLite for tests: one tree less to build.
    packages: ['redis-server', 'sqlite3'],
    waste: [],
    command: 'redis-server',
    port: 6379,
    dataDir: '/data',
    health: 'redis-cli ping',
    env: [],
    stopSignal: 'SIGTERM',
  },
  postgres: {
    packages: ['postgresql'],
    waste: ['var/lib/postgresql'],
    command: 'postgres',
    port: 5432,
    dataDir: '/var/lib/postgresql/data',
    health: 'pg_isready --quiet',
    env: ['PGDATA=/var/lib/postgresql/data'],
    stopSignal: 'SIGINT', // fast shutdown: postgres(1)
  },
} satisfies Record<string, Database>;

const seconds = (count: number) => count * 1e9;

function configOf({ command, port, dataDir, health, env, stopSignal }: Database): ImageConfig {
  return {
    Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LANG=C.UTF-8', ...env],
    Entrypoint: ['/usr/local/bin/entrypoint'],
    Cmd: [command],
    ExposedPorts: { [`${port}/tcp`]: {} },
    Volumes: { [dataDir]: {} },
    StopSignal: stopSignal,
    Healthcheck: {
      Test: ['CMD-SHELL', health],
      Interval: seconds(5),
      Timeout: seconds(5),
      Retries: 6,
      StartPeriod: seconds(120),
      StartInterval: seconds(0.3),
    },
  };
}

/** Three layers: Debian, which all databases share, the packages, and the entry point. */
export async function databaseImage(name: keyof typeof databases, reference: string): Promise<Image> {
  const database = databases[name];
  const base = await layerOf(`debian-${recipeKey('debian')}`, async () => ({ tree: await debianTree('debian', []) }));
  const key = recipeKey(...database.packages, '-', ...database.waste);
  const packages = await layerOf(`${name}-${key}`, async () => {
    const tree = await debianTree(name, database.packages, database.waste);
    return { tree, only: difference(await debianTree('debian', []), tree) };
  });
  const script = join(import.meta.dirname, `${name}-entrypoint.sh`);
  const entry = await layerOf(`${name}-entry-${recipeKey(readFileSync(script, 'utf8'))}`, async (tree) => {
    const target = join(tree, 'usr/local/bin/entrypoint');
    mkdirSync(join(tree, 'usr/local/bin'), { recursive: true });
    mkdirSync(join(tree, database.dataDir), { recursive: true });
    copyFileSync(script, target);
    chmodSync(target, 0o755);
    return { tree, only: ['usr/local/bin/entrypoint', `.${database.dataDir}`] };
  });
  return { reference, config: configOf(database), layers: [base, packages, entry] };
}
