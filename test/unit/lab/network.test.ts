import { expect, test } from 'vitest';
import { overlaps } from '../../../lab/network.ts';

test.each([
  ['10.201.0.0/24', '10.201.0.0/24', true],
  ['10.0.0.0/8', '10.201.3.0/24', true],
  ['10.201.3.0/24', '10.0.0.0/8', true],
  ['10.201.3.7', '10.201.3.0/24', true],
  ['0.0.0.0/0', '10.201.3.0/24', true],
  ['10.201.2.0/24', '10.201.3.0/24', false],
  ['10.200.0.0/16', '10.201.3.0/24', false],
  ['192.168.0.0/16', '10.201.3.0/24', false],
])('%s and %s share an address: %s', (one, other, shared) => {
  expect(overlaps(one, other)).toBe(shared);
});
