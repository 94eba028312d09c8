import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { CargoError } from '../api/cargo-error.ts';

/** What `cargoctl login` keeps. It holds a token: the file is for its owner's eyes only. */
export const Config = z.object({ server: z.string(), ca: z.string().nullable(), token: z.string().nullable() });
export type Config = z.infer<typeof Config>;

/** `$XDG_CONFIG_HOME/cargo/config.json`; a relative XDG_CONFIG_HOME is to be ignored (XDG base directory specification). */
export function configPath(env: NodeJS.ProcessEnv): string {
  const base = env['XDG_CONFIG_HOME'];
  const home = env['HOME'] || homedir();
  return join(base !== undefined && isAbsolute(base) ? base : join(home, '.config'), 'cargo', 'config.json');
}

/** null when nobody has logged in. @throws CargoError BAD_REQUEST when the file can't be used */
export async function readConfig(path: string): Promise<Config | null> {
  try {
    return Config.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (cause) {
    if (isAbsence(cause)) return null;
    // the parser's own message could quote the token
    throw new CargoError('BAD_REQUEST', `${path} can't be used: run \`cargoctl login\` again, or remove it`, {
      cause: cause instanceof Error ? cause.name : cause,
    });
  }
}

export async function writeConfig(path: string, config: Config): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const draft = `${path}.${process.pid}`;
  try {
    await writeFile(draft, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** Whether there was one. */
export async function removeConfig(path: string): Promise<boolean> {
  try {
    await rm(path);
    return true;
  } catch (error) {
    if (isAbsence(error)) return false;
    throw error;
  }
}

function isAbsence(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
