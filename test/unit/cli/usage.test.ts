import { describe, expect, test } from 'vitest';
import { failures } from '../../../src/api/failures.ts';
import { againstServer, json } from './against-server.ts';
import { runHere } from './cargoctl.ts';

const kit = againstServer();

describe('usage', () => {
  test.each([
    [['no-such-command']],
    [['drain', 'h1']],
    [[]],
    [['list', '--nonsense']],
    [['migrate', 'mysqldemo']],
    [['migrate', 'mysqldemo', '--to', 'h2', '--strategy', 'other']],
    [['migrate', 'mysqldemo', '--to', 'h2', '--bwlimit', 'fast']],
    [['migrate', 'mysqldemo', '--to', 'h2', '--detach', '--wait']],
    [['set', 'mysqldemo']],
    [['set', 'mysqldemo', '--bwlimit', 'fast']],
    [['pause']],
    [['token', 'create', '--ttl', 'long']],
    [['token', 'create', '--uses', '0']],
    [['status', '--watch']],
    [['hosts', 'other']],
    [['list', '-o', 'xml']],
    [['--list', '--status']],
    [['--migrate', '--source', 'h1']],
  ])('%j exits with 2 and leaves standard output empty', async (args) => {
    const { code, stdout, stderr } = await runHere(args, { HOME: kit.home.path, CARGO_SERVER: 'http://127.0.0.1:1' });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('cargoctl');
  });

  test('with -o json a usage error is JSON too', async () => {
    const { stderr } = await kit.home.run(['list', '--nonsense', '-o', 'json']);
    expect(json(stderr)).toMatchObject({ error: { code: 'BAD_REQUEST' } });
  });

  test('the exit codes of all failures are explained in --help', async () => {
    const { code, stdout } = await kit.home.run(['--help']);
    expect(code).toBe(0);
    const explained = stdout.slice(stdout.indexOf('Exit codes:'));
    for (const { exitCode } of Object.values(failures))
      expect(explained).toMatch(new RegExp(`(^| )${exitCode}  ?\\w`, 'm'));
  });

  test('every command has its own --help with the global options', async () => {
    const { stdout } = await kit.home.run(['migrate', '--help']);
    for (const option of ['--bwlimit', '--watch', '--server', '--output']) expect(stdout).toContain(option);
  });
});
