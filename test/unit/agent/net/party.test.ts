import { expect, test } from 'vitest';
import { partyOf } from '../../../../src/agent/net/party.ts';

const id = '11111111-1111-4111-8111-111111111111';

test.each([
  ['URI:cargo://server', { kind: 'server' }],
  [`DNS:h1, URI:cargo://host/${id}, IP Address:10.0.0.1`, { kind: 'host', hostId: id }],
  ['URI:https://x, URI:cargo://server', { kind: 'server' }],
])('%s says who it is', (names, party) => {
  expect(partyOf(names)).toEqual(party);
});

test.each([
  undefined,
  '',
  'DNS:cargo://server',
  'URI:cargo://servers',
  'URI:cargo://host/',
  `URI:cargo://host/${id}/x`,
  `URI:cargo://server, URI:cargo://host/${id}`,
  'DNS:"x, URI:cargo://server"',
])('%s says nothing', (names) => {
  expect(partyOf(names)).toBeNull();
});
