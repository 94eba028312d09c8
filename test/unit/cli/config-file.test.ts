import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { configPath, readConfig, removeConfig, writeConfig } from '../../../src/cli/config-file.ts';

const config = { server: 'https://h:5000', ca: null, token: 'secret-token' };
let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cargoctl-config-'));
});
afterEach(() => rm(home, { recursive: true }));

test("the file is its owner's alone, whatever the umask and an older file were", async () => {
  const before = process.umask(0);
  try {
    const path = configPath({ XDG_CONFIG_HOME: join(home, 'deep', 'config') });
    await writeConfig(path, { ...config, token: 'old' });
    await writeConfig(path, config);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(dirname(path))).mode & 0o777).toBe(0o700);
    expect(await readConfig(path)).toEqual(config);
  } finally {
    process.umask(before);
  }
});

test('without XDG_CONFIG_HOME, or with a relative one, it is below ~/.config', () => {
  expect(configPath({ HOME: home })).toBe(join(home, '.config/cargo/config.json'));
  expect(configPath({ HOME: home, XDG_CONFIG_HOME: 'relative' })).toBe(join(home, '.config/cargo/config.json'));
});

test('a damaged file is refused without showing what is in it', async () => {
  const path = join(home, 'config.json');
  await writeFile(path, '{"token": "secret-token"');
  const error = await readConfig(path).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: 'BAD_REQUEST' });
  expect(JSON.stringify(error)).not.toContain('secret-token');
  expect(await readFile(path, 'utf8')).toContain('secret-token');
});

test('removing says whether there was one', async () => {
  const path = join(home, 'cargo', 'config.json');
  await writeConfig(path, config);
  expect(await removeConfig(path)).toBe(true);
  expect(await removeConfig(path)).toBe(false);
  expect(await readConfig(path)).toBeNull();
});
