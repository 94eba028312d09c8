import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';

test('secrets are struck out of the log wherever their names stand', async () => {
  const module = JSON.stringify(new URL('../../../src/server/log.ts', import.meta.url));
  const script = `import { createLog } from ${module}; createLog('info').info({ token: 's3cret',
    headers: { authorization: 'Bearer s3cret' }, req: { body: { tokenSecret: 's3cret' } } }, 'said');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  const [chunks] = await Promise.all([child.stderr.toArray(), once(child, 'close')]);
  const line = Buffer.concat(chunks).toString();
  expect(JSON.parse(line)).toMatchObject({ msg: 'said', token: '[redacted]' });
  expect(line).not.toContain('s3cret');
});
