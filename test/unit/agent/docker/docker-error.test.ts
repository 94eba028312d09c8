import { expect, test } from 'vitest';
import { dockerError, EngineFailure, hasStatus } from '../../../../src/agent/docker/docker-error.ts';
import { Engine } from '../../../../src/agent/docker/index.ts';
import { loadedReferences, loadFailure } from '../../../../src/agent/docker/load-reply.ts';

const http = (status: number, message: string) => new EngineFailure(status, JSON.stringify({ message }));

test.each([
  [http(404, 'No such container: x'), '/containers/x/json', 'CONTAINER_NOT_FOUND'],
  [http(404, 'No such image: x'), '/containers/create', 'DOCKER_ERROR'],
  [http(404, 'no such volume'), '/volumes/x', 'DOCKER_ERROR'],
  [http(400, 'multiple IDs found with provided prefix: 12'), '/containers/12/json', 'CONTAINER_AMBIGUOUS'],
  [http(500, 'write /x: no space left on device'), '/images/load', 'DISK_FULL'],
  [http(500, 'driver failed'), '/containers/x/start', 'DOCKER_ERROR'],
  [Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }), '/info', 'DOCKER_UNREACHABLE'],
  [Object.assign(new Error('connect'), { code: 'ENOENT' }), '/info', 'DOCKER_UNREACHABLE'],
])('%s at %s is %s', (thrown, path, code) => {
  expect(dockerError(thrown, 'do it', path)).toMatchObject({ code });
});

test('the status of Docker is kept for those who ask', () => {
  const error = dockerError(http(409, 'in use'), 'remove it', '/volumes/x');
  expect(hasStatus(error, 404, 409)).toBe(true);
  expect(hasStatus(error, 404)).toBe(false);
  expect(error.message).toBe('could not remove it: in use');
});

test('a socket without a daemon is a daemon that is down', async () => {
  const engine = new Engine('/nonexistent/docker.sock');
  await expect(engine.info(AbortSignal.timeout(5000))).rejects.toMatchObject({ code: 'DOCKER_UNREACHABLE' });
});

test('a load that fails says so in its body', () => {
  expect(loadFailure('{"stream":"Loaded image ID: sha256:ab\\n"}\n')).toBeNull();
  expect(loadFailure('{"errorDetail":{"message":"bad"},"error":"bad"}')).toMatchObject({ code: 'DOCKER_ERROR' });
  expect(loadFailure('{"error":"no space left on device"}')).toMatchObject({ code: 'DISK_FULL' });
});

test('a load says what it has loaded', () => {
  const said = '{"stream":"Loaded image ID: sha256:ab\\n"}\r\n{"stream":"Loaded image: app:1\\n"}\r\n';
  expect(loadedReferences(said)).toEqual(['sha256:ab', 'app:1']);
});
