import { expect, test } from 'vitest';
import { Turns } from '../../../../src/agent/lazy/turns.ts';

const MB = 2 ** 20;
const container = `0::/system.slice/docker-${'a'.repeat(64)}.scope\n`;

/** Takes turns in this order, ends each once all have had the time to begin, and gives the order in which they began. */
async function order(asked: readonly [name: string, cgroup: string, megabytes: number][]): Promise<string[]> {
  const turns = new Turns();
  const began: string[] = [];
  const ends: (() => void)[] = [];
  const all = asked.map(async ([name, cgroup, megabytes]) => {
    const end = await turns.take(cgroup, megabytes * MB);
    began.push(name);
    ends.push(end);
  });
  for (let left = asked.length; left > 0; left -= 1) {
    await new Promise(setImmediate);
    began.push('|');
    ends.shift()?.();
  }
  await Promise.all(all);
  return began;
}

test('a container goes before everybody else, who has little under way', async () => {
  const asked = [
    ['backup 1', 'root', 2],
    ['backup 2', 'root', 2],
    ['backup 3', 'root', 2],
    ['container', container, 2],
  ] as const;
  const began = await order(asked.map((one) => [...one]));
  expect(began.slice(0, 3)).toEqual(['backup 1', 'container', '|']);
});

test('a container that has much under way waits for itself, and lets others go on', async () => {
  const began = await order([
    ['container 1', container, 8],
    ['container 2', container, 1],
    ['other', 'root', 1],
  ]);
  expect(began.slice(0, 4)).toEqual(['container 1', 'other', '|', 'container 2']);
});

test('one cgroup follows the other, however much one asks for', async () => {
  const began = await order([
    ['a1', 'a', 2],
    ['a2', 'a', 2],
    ['a3', 'a', 2],
    ['b1', 'b', 2],
    ['c1', 'c', 2],
  ]);
  expect(began.filter((name) => name !== '|')).toEqual(['a1', 'a2', 'b1', 'c1', 'a3']);
});
