import { chmod, type FileHandle, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { CargoError } from '../api/cargo-error.ts';
import { tryLockExclusive } from '../linux/flock.ts';

/** The agent's own directory, held by this process alone until it is disposed of. */
export interface DataDir extends AsyncDisposable {
  readonly identityFile: string;
  readonly trustFile: string;
  readonly migrations: string;
}

/** Who the agent is, and whom it knows to be removed. */
export function identityFiles(path: string): { identity: string; trust: string } {
  return { identity: join(path, 'identity.json'), trust: join(path, 'trust.json') };
}

/** @throws CargoError BAD_REQUEST when another agent holds the directory */
export async function openDataDir(path: string): Promise<DataDir> {
  const migrations = join(path, 'migrations');
  await mkdir(migrations, { recursive: true, mode: 0o700 });
  await chmod(path, 0o700);
  const lock = await open(join(path, 'lock'), 'w', 0o600);
  await holdAlone(lock, path);
  return {
    identityFile: identityFiles(path).identity,
    trustFile: identityFiles(path).trust,
    migrations,
    [Symbol.asyncDispose]: () => lock.close(),
  };
}

async function holdAlone(lock: FileHandle, path: string): Promise<void> {
  if (tryLockExclusive(lock.fd)) return;
  await lock.close();
  throw new CargoError('BAD_REQUEST', `another cargo-agent runs on ${path}: give each agent its own --data-dir`);
}
