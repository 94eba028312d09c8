import { expect, test } from 'vitest';
import { isWithin, overlaps } from '../../../../src/agent/container/host-paths.ts';

test.each([
  ['/srv/a', '/srv/a', true],
  ['/srv/a/b', '/srv/a', true],
  ['/srv/ab', '/srv/a', false],
  ['/srv', '/srv/a', false],
  ['/anything', '/', true],
])('%s is within %s: %s', (path, base, expected) => {
  expect(isWithin(path, base)).toBe(expected);
});

test('paths overlap in both directions', () => {
  expect(overlaps('/srv', '/srv/a')).toBe(true);
  expect(overlaps('/srv/a', '/srv')).toBe(true);
  expect(overlaps('/srv/a', '/srv/b')).toBe(false);
});
