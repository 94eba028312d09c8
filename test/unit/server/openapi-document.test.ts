import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../..');

test('docs/openapi.json is what the server serves: run `make openapi` after a change of the schemas', () => {
  const printed = execFileSync(process.execPath, [join(root, 'packaging/print-openapi.ts')], { encoding: 'utf8' });
  expect(JSON.parse(readFileSync(join(root, 'docs/openapi.json'), 'utf8'))).toEqual(JSON.parse(printed));
});
