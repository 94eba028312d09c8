import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ErrorBody } from '../../../src/api/cargo-error.ts';
import { LabUnderTest } from '../lab.ts';

let lab: LabUnderTest;
let tls: Agent;

beforeAll(async () => {
  lab = await LabUnderTest.open();
  tls = new Agent({ connect: { ca: readFileSync(lab.ca) } });
  for (const host of ['h1', 'h2']) {
    await lab.lab('image', 'busybox', '--host', host);
    await lab.must(
      host,
      'docker',
      'run',
      '-d',
      '--stop-signal',
      'KILL',
      '--name',
      'twin',
      'busybox:lab',
      'sleep',
      '100000',
    );
  }
  await lab.must(
    'h1',
    'docker',
    'run',
    '-d',
    '--stop-signal',
    'KILL',
    '--name',
    'only',
    '-v',
    'onlydata:/data',
    'busybox:lab',
    'sleep',
    '100000',
  );
});

afterAll(async () => {
  await tls.close();
  for (const host of ['h1', 'h2']) {
    await lab.exec(host, 'sh', '-c', 'docker ps -aq | xargs -r docker rm -f; docker volume prune -af');
  }
});

async function post(
  path: string,
  body: string,
  token = lab.token,
): Promise<{ status: number; code: string; message: string }> {
  const answer = await request(`${lab.server}${path}`, {
    method: 'POST',
    dispatcher: tls,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body,
  });
  const { error } = ErrorBody.parse(await answer.body.json());
  return { status: answer.statusCode, code: error.code, message: error.message };
}

const refused = [
  { why: 'an unknown target', body: { container: 'only', target: 'h9' }, status: 404, code: 'HOST_NOT_FOUND' },
  {
    why: 'an unknown source',
    body: { container: 'only', source: 'h9', target: 'h2' },
    status: 404,
    code: 'HOST_NOT_FOUND',
  },
  {
    why: 'an unknown container',
    body: { container: 'nobody', target: 'h2' },
    status: 404,
    code: 'CONTAINER_NOT_FOUND',
  },
  {
    why: 'a container that is on another host',
    body: { container: 'only', source: 'h2', target: 'h3' },
    status: 404,
    code: 'CONTAINER_NOT_FOUND',
  },
  {
    why: 'source equal to target',
    body: { container: 'only', source: 'h1', target: 'h1' },
    status: 400,
    code: 'SAME_HOST',
  },
  { why: 'a target where it is already', body: { container: 'only', target: 'h1' }, status: 400, code: 'SAME_HOST' },
  {
    why: 'a name that is on several hosts',
    body: { container: 'twin', target: 'h3' },
    status: 409,
    code: 'CONTAINER_AMBIGUOUS',
  },
  {
    why: 'a name that is taken at the target',
    body: { container: 'twin', source: 'h1', target: 'h2' },
    status: 409,
    code: 'BLOCKED',
  },
  {
    why: 'a strategy that there is not',
    body: { container: 'only', target: 'h2', strategy: 'postcopy' },
    status: 400,
    code: 'BAD_REQUEST',
  },
  {
    why: 'rootfs, which is not built',
    body: { container: 'only', target: 'h2', rootfs: true },
    status: 400,
    code: 'BAD_REQUEST',
  },
  {
    why: 'a time for the pre-copy where all is pre-copied',
    body: { container: 'only', target: 'h2', strategy: 'precopy', precopySeconds: 5 },
    status: 400,
    code: 'BAD_REQUEST',
  },
  { why: 'an unknown field', body: { container: 'only', target: 'h2', speed: 1 }, status: 400, code: 'BAD_REQUEST' },
  { why: 'a missing field', body: { container: 'only' }, status: 400, code: 'BAD_REQUEST' },
  { why: 'a wrong type', body: { container: 7, target: 'h2' }, status: 400, code: 'BAD_REQUEST' },
];

test.each(refused)('$why is refused with $status $code and a sentence', async ({ body, status, code }) => {
  const answer = await post('/v1/migrations', JSON.stringify(body));
  expect(answer).toMatchObject({ status, code });
  expect(answer.message.length).toBeGreaterThan(10);
});

test('the original call is refused the same way', async () => {
  const body = { source: 'h1', target: 'h9', container: 'only', rootfs: false };
  expect(await post('/cargo', JSON.stringify(body))).toMatchObject({ status: 404, code: 'HOST_NOT_FOUND' });
});

test('malformed JSON, a wrong token and 100 MB are refused, and the source runs on untouched', async () => {
  expect(await post('/v1/migrations', '{"container":')).toMatchObject({ status: 400, code: 'BAD_REQUEST' });
  expect(await post('/v1/migrations', '{}', 'wrong')).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
  const large = JSON.stringify({ container: 'x'.repeat(100 * 1024 * 1024), target: 'h2' });
  expect(await post('/v1/migrations', large)).toMatchObject({ status: 413, code: 'BODY_TOO_LARGE' });
  expect(await lab.must('h1', 'docker', 'inspect', '-f', '{{.State.Running}}', 'only')).toBe('true');
  expect(await lab.json('list')).toBeDefined();
});

const exits = [
  { args: ['migrate', 'nobody', '--to', 'h2'], status: 3 },
  { args: ['migrate', 'only', '--to', 'h9'], status: 3 },
  { args: ['migrate', 'twin', '--to', 'h3'], status: 4 },
  { args: ['migrate', 'twin', '--from', 'h1', '--to', 'h2'], status: 5 },
  { args: ['plan', 'twin', '--from', 'h1', '--to', 'h2'], status: 5 },
  { args: ['migrate', 'only', '--to', 'h1'], status: 2 },
  { args: ['migrate', 'only'], status: 2 },
  { args: ['migrate', 'only', '--to', 'h2', '--turbo'], status: 2 },
  { args: ['failover', 'only'], status: 3 },
  { args: ['cancel', 'only'], status: 3 },
];

test.each(exits)('cargoctl $args exits with $status and says why', async ({ args, status }) => {
  const ran = await lab.cargoctl(...args);
  expect(ran, ran.stderr).toMatchObject({ status });
  expect(ran.stderr).not.toBe('');
});

test('a container is moved once: the second migration of it is refused while the first is under way', async () => {
  await lab.must('h1', 'docker', 'exec', 'only', 'sh', '-c', 'head -c 20000000 /dev/urandom > /data/blob');
  const first = await lab.cargoctl(
    'migrate',
    'only',
    '--to',
    'h2',
    '--strategy',
    'precopy',
    '--bwlimit',
    '4M',
    '--detach',
  );
  expect(first, first.stderr).toMatchObject({ status: 0 });
  const second = await lab.cargoctl('migrate', 'only', '--to', 'h3');
  expect(second, second.stdout).toMatchObject({ status: 4 });
  expect(second.stderr).toContain('only');
  const cancelled = await lab.cargoctl('cancel', 'only');
  expect(cancelled, cancelled.stderr).toMatchObject({ status: 0 });
  expect(await lab.must('h1', 'docker', 'inspect', '-f', '{{.State.Running}}', 'only')).toBe('true');
  expect(await lab.must('h2', 'docker', 'volume', 'ls', '-q')).toBe('');
});
