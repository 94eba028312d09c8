import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseServer, resolveSettings } from '../../../src/cli/settings.ts';

const PEM = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
const config = { server: 'https://config:5000', ca: 'the CA of the file', token: 'token-of-the-file' };
let folder: string;
let caFile: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cargoctl-settings-'));
  caFile = join(folder, 'ca.pem');
  writeFileSync(caFile, PEM);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('precedence', () => {
  test('a flag goes before the environment, the environment before the file', () => {
    const env = { CARGO_SERVER: 'env:5000' };
    expect(resolveSettings({ server: 'flag:5000' }, env, config).server.host).toBe('flag:5000');
    expect(resolveSettings({}, env, config).server.host).toBe('env:5000');
    expect(resolveSettings({}, {}, config).server.host).toBe('config:5000');
  });

  test('the CA and the token of the environment go before those of the file', () => {
    expect(resolveSettings({}, { CARGO_CA: caFile, CARGO_TOKEN: 'from-env\n' }, config)).toMatchObject({
      ca: PEM,
      token: 'from-env',
    });
  });

  test('an empty variable counts as unset', () => {
    expect(resolveSettings({}, { CARGO_SERVER: '', CARGO_TOKEN: '' }, config)).toMatchObject({
      token: config.token,
      ca: config.ca,
    });
  });

  test('without any server the user is told the three ways to name one', () => {
    expect(() => resolveSettings({}, {}, null)).toThrow(/--server.*CARGO_SERVER.*cargoctl login/);
  });
});

describe("the file's token", () => {
  test('is used for another address under the same CA', () => {
    expect(resolveSettings({ server: 'other:5000' }, {}, config).token).toBe(config.token);
  });

  test('is not shown to a server under another CA', () => {
    expect(resolveSettings({ server: 'other:5000', ca: caFile }, {}, config).token).toBeNull();
  });

  test('is not sent in plain', () => {
    expect(resolveSettings({ server: 'http://127.0.0.1:5000' }, {}, config).token).toBeNull();
  });

  test('is not shown to another server when no CA is pinned', () => {
    expect(resolveSettings({ server: 'other:5000' }, {}, { ...config, ca: null }).token).toBeNull();
  });
});

describe('a server address', () => {
  test.each([
    ['9.0.0.5:5000', 'https://9.0.0.5:5000/'],
    ['cargo.example:443', 'https://cargo.example/'],
    ['cargo.example', 'https://cargo.example:5000/'],
    ['[fd00::1]:5000', 'https://[fd00::1]:5000/'],
    ['https://h:5000', 'https://h:5000/'],
    ['http://127.0.0.1:5000', 'http://127.0.0.1:5000/'],
    ['http://[::1]:5000/', 'http://[::1]:5000/'],
    ['http://localhost:5000', 'http://localhost:5000/'],
  ])('%s means %s', (text, href) => {
    expect(parseServer(text).href).toBe(href);
  });

  test.each([
    'http://9.0.0.5:5000',
    'http://127.evil.example:5000',
    'ftp://h:5000',
    'https://h:5000/path',
    'https://user:secret@h:5000',
    'h:notaport',
    '',
  ])('%j is refused', (text) => {
    expect(() => parseServer(text)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
  });
});

test('a CA file that is missing or no certificate is named in the error', () => {
  const missing = join(folder, 'none.pem');
  expect(() => resolveSettings({ ca: missing, server: 'h:1' }, {}, null)).toThrow(missing);
  const other = join(folder, 'other.txt');
  writeFileSync(other, 'no certificate');
  expect(() => resolveSettings({ ca: other, server: 'h:1' }, {}, null)).toThrow(other);
});
