import { expect, test } from 'vitest';
import { networkConflict, subnetsOverlap, subnetsTaken } from '../../../../src/agent/container/network-rules.ts';
import { NetworkInspect } from '../../../../src/agent/docker/index.ts';

function network(name: string, subnet: string, more: object = {}): NetworkInspect {
  return NetworkInspect.parse({
    Id: name,
    Name: name,
    Driver: 'bridge',
    IPAM: { Config: [{ Subnet: subnet }] },
    ...more,
  });
}

test.each([
  ['10.0.0.0/8', '10.1.2.0/24', true],
  ['10.1.2.0/24', '10.0.0.0/8', true],
  ['10.1.2.0/24', '10.1.3.0/24', false],
  ['10.1.2.0/23', '10.1.3.0/24', true],
  ['fd00::/64', 'fd00::1:0/112', true],
  ['fd00::/64', 'fd01::/64', false],
  ['10.0.0.0/8', 'fd00::/8', false],
])('%s and %s overlap: %s', (a, b, expected) => {
  expect(subnetsOverlap(a, b)).toBe(expected);
});

test('a network of the same name with another driver or another reach is in the way', () => {
  const wanted = network('n', '10.1.0.0/24');
  expect(networkConflict(network('n', '10.1.0.0/24'), wanted, true)).toBeNull();
  expect(networkConflict(network('n', '10.1.0.0/24', { Driver: 'macvlan' }), wanted, false)?.code).toBe(
    'network-differs',
  );
  expect(networkConflict(network('n', '10.1.0.0/24', { Internal: true }), wanted, false)?.code).toBe('network-differs');
});

test('other addresses of a network matter only to a container that has a fixed one', () => {
  const [wanted, existing] = [network('n', '10.1.0.0/24'), network('n', '10.2.0.0/24')];
  expect(networkConflict(existing, wanted, false)).toBeNull();
  expect(networkConflict(existing, wanted, true)?.message).toContain('10.2.0.0/24');
});

test('addresses that belong to a network of another name are taken', () => {
  const wanted = network('n', '10.1.0.0/24');
  expect(subnetsTaken(wanted, [network('n', '10.1.0.0/24'), network('o', '10.2.0.0/24')])).toBeNull();
  expect(subnetsTaken(wanted, [network('o', '10.1.0.0/16')])?.message).toContain('network o');
});
