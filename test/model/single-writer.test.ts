import { expect, test } from 'vitest';
import { stepNames } from '../../src/api/agent-steps.ts';
import { moves, phases } from '../../src/api/migration.ts';
import { explore } from './explore.ts';
import { modelled, type Protections } from './world.ts';

const all: Protections = {
  ...{ permit: true, epochs: true, sourceGate: true, targetGate: true },
  ...{ hold: true, killOnRefuse: true, checkAfterGate: true, overAfterThaw: true, cover: true },
};
const MOST = 1_000_000;
const LIMIT_MS = 180_000;

test('the model has every step and takes every move of the tables in src/api', () => {
  expect([...modelled, 'serve', 'verify'].sort()).toEqual([...stepNames].sort());
  const taken = [false, true].flatMap((lazy) => [...explore(all, 1, MOST, { lazy }).moves]);
  const inTable = phases.flatMap((from) => moves[from].map((to) => `${from} ${to}`));
  // `planned` is left before anything is done: what fails there has touched nothing.
  expect([...new Set(taken)].sort()).toEqual(inTable.filter((move) => move !== 'planned failed').sort());
});

test('with any two faults at any moments no two copies run, and from everywhere a way leads to one that runs', {
  timeout: LIMIT_MS,
}, () => {
  const { twoRunners, stuck, states } = explore(all, 2, MOST);
  expect(twoRunners, 'how two came to run').toBeNull();
  expect(stuck, 'how it came to a state without a way forward').toBeNull();
  expect(states).toBeGreaterThan(100_000);
});

test('lazy: with any one fault no two copies run, none sees data that is not its own, and a way leads on from everywhere', {
  timeout: LIMIT_MS,
}, () => {
  const { twoRunners, wrongData, stuck, states } = explore(all, 1, MOST, { lazy: true });
  expect(twoRunners, 'how two came to run').toBeNull();
  expect(wrongData, 'how one came to see wrong data').toBeNull();
  expect(stuck, 'how it came to a state without a way forward').toBeNull();
  expect(states).toBeGreaterThan(5_000);
});

test('control: where data is seen without its protection, and nothing holds the container at boot, it is read too early', () => {
  expect(
    explore({ ...all, cover: false, hold: false }, 1, MOST, { lazy: true, goesOn: true }).wrongData,
  ).not.toBeNull();
});

test('lazy: the cover alone, without the holding at boot, keeps wrong data from being seen', () => {
  expect(explore({ ...all, hold: false }, 1, MOST, { lazy: true, goesOn: true }).wrongData).toBeNull();
});

const needed: [string, Partial<Protections>][] = [
  ['the gate at the source', { sourceGate: false }],
  ['the gate at the target', { targetGate: false }],
  ['a look after the gate was closed', { checkAfterGate: false }],
  ['ending what is not well before the permit counts as refused', { killOnRefuse: false }],
  ['holding at boot what may have been given up', { hold: false }],
  ['both permit and epochs, each of which is enough alone', { permit: false, epochs: false }],
];

test.each(needed)('control: without %s two copies run', (_, without) => {
  expect(explore({ ...all, ...without }, 1, MOST).twoRunners).not.toBeNull();
});

test('control: a freeze that arrives after the thaw and is obeyed stops the source for good', () => {
  expect(explore({ ...all, overAfterThaw: false }, 0, MOST)).toMatchObject({
    twoRunners: null,
    stuck: expect.arrayContaining(['source goes on with thaw', 'source receives freeze/1']),
  });
});
