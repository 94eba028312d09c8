import { describe, expect, test } from 'vitest';
import { CargoError } from '../../../src/api/cargo-error.ts';
import type { ControlOptions, Migration } from '../../../src/api/migration.ts';
import { againstServer, json, MIB } from './against-server.ts';
import { exampleHydrating, exampleStaging } from './examples.ts';
import type { Routes } from './scripted-server.ts';

const kit = againstServer();

/** A server that does to the migration what it is told. */
const controlling = (migration: Migration): Routes => ({
  'GET /v1/containers/mysqldemo/migration': () => migration,
  'PATCH /v1/migrations/m-1': ({ body }) => ({ ...migration, ...(body as ControlOptions) }),
});

describe('pause, resume and set', () => {
  test.each([
    [['pause', 'mysqldemo'], { paused: true }, 'the data that follows mysqldemo rests; what it touches still comes\n'],
    [['resume', 'mysqldemo'], { paused: false }, 'the data that follows mysqldemo comes again\n'],
    [['set', 'mysqldemo', '--bwlimit', '10M'], { bwlimit: 10 * MIB }, 'mysqldemo is copied at 10.0 MiB/s at most\n'],
    [['set', 'mysqldemo', '--bwlimit', 'none'], { bwlimit: null }, 'mysqldemo is copied without a limit\n'],
  ])('%j asks for just that, and says what is so now', async (args, body, text) => {
    expect(await kit.here(controlling(exampleHydrating()), args)).toEqual({ code: 0, stdout: text, stderr: '' });
    expect(kit.server.seen.at(-1)).toMatchObject({ method: 'PATCH', body });
  });

  test('before the container runs there what is asked for takes effect later, and that is said', async () => {
    const staging = controlling(exampleStaging(1, { strategy: 'lazy' }));
    expect((await kit.here(staging, ['pause', 'mysqldemo'])).stdout).toContain('will rest once it runs on h2');
    expect((await kit.here(staging, ['resume', 'mysqldemo'])).stdout).toContain('as soon as it runs on h2');
    const set = await kit.here(staging, ['set', 'mysqldemo', '--bwlimit', '1G']);
    expect(set.stdout).toBe('mysqldemo is copied at 1.0 GiB/s at most, from the next round on\n');
  });

  test('with -o json the migration is printed', async () => {
    const { stdout } = await kit.here(controlling(exampleHydrating()), ['pause', 'mysqldemo', '-o', 'json']);
    expect(json(stdout)).toEqual(exampleHydrating({ paused: true }));
  });

  test('what the server refuses is shown as it says it', async () => {
    const routes = controlling(exampleHydrating());
    routes['PATCH /v1/migrations/m-1'] = () => new CargoError('WRONG_PHASE', 'nothing of it travels any more');
    const { code, stderr } = await kit.here(routes, ['resume', 'mysqldemo']);
    expect([code, stderr]).toEqual([4, 'cargoctl: nothing of it travels any more [WRONG_PHASE]\n']);
  });
});
