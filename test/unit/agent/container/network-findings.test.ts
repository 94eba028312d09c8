import { expect, test } from 'vitest';
import { networkFindings } from '../../../../src/agent/container/network-findings.ts';
import { inspectWith } from './inspect-with.ts';

const network = (more: object) => ({ Id: 'i', Name: 'n', Driver: 'bridge', Scope: 'local', ...more });
const codes = (more: object) =>
  networkFindings(inspectWith({ NetworkSettings: { Networks: { n: {} } } }), [network(more)]).map(({ code }) => code);

test('a bridge of this host can be made again elsewhere', () => {
  expect(codes({})).toEqual([]);
});

test.each(['macvlan', 'ipvlan', 'overlay', 'weave'])('a %s network can not', (Driver) => {
  expect(codes({ Driver })).toEqual(['network-driver']);
});

test('nor one of a swarm, or one that takes its configuration from another', () => {
  expect(codes({ Scope: 'swarm' })).toEqual(['network-driver']);
  expect(codes({ ConfigFrom: { Network: 'template' } })).toEqual(['network-config-from']);
});

test('a network that is gone is found', () => {
  const inspect = inspectWith({ NetworkSettings: { Networks: { bridge: {}, gone: {} } } });
  expect(networkFindings(inspect, []).map(({ code, subject }) => `${code} ${subject}`)).toEqual([
    'network-missing gone',
  ]);
});
