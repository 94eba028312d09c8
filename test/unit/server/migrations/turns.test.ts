import { expect, test } from 'vitest';
import { Turns } from '../../../../src/server/migrations/turns.ts';

type Move = Parameters<Turns['keep']>[0];

const move = (container: string, at: number, source = 'h1', target = 'h2'): Move => ({
  ...{ id: container, container, source, target, sourceId: source, targetId: target },
  createdAt: new Date(at).toISOString(),
});

/** Asks for a turn; what it is told meanwhile, and whether it has it. */
function ask(turns: Turns, asked: Move): { notes: string[]; taken: () => boolean; cancel: AbortController } {
  const notes: string[] = [];
  const cancel = new AbortController();
  let isTaken = false;
  const note = async (activity: string): Promise<void> => {
    notes.push(activity);
  };
  turns.take(asked, note, cancel.signal).then(
    () => {
      isTaken = true;
    },
    () => undefined,
  );
  return { notes, cancel, taken: () => isTaken };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('so many copy at once, and the others come in the order in which they were begun, knowing what they wait for', async () => {
  const turns = new Turns(2);
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name, at) => ask(turns, move(name, at)));
  await settled();
  expect([a, b, c, d].map((one) => one?.taken())).toEqual([true, true, false, false]);
  expect(d?.notes).toEqual(['waiting: host h1 is busy with a, b']);
  turns.leave('a');
  await settled();
  expect([c, d].map((one) => one?.taken())).toEqual([true, false]);
  expect(d?.notes.at(-1)).toBe('waiting: host h1 is busy with b, c');
});

test('one that is cancelled while it waits gives its place to the next', async () => {
  const turns = new Turns(1);
  ask(turns, move('a', 0));
  const b = ask(turns, move('b', 1));
  const c = ask(turns, move('c', 2));
  await settled();
  b.cancel.abort(new Error('cancelled'));
  turns.leave('a');
  await settled();
  await settled();
  expect([b.taken(), c.taken()]).toEqual([false, true]);
});

test('nobody overtakes on a host that somebody earlier waits for, and other hosts are not concerned', async () => {
  const turns = new Turns(1);
  ask(turns, move('a', 0, 'h1', 'h2'));
  const b = ask(turns, move('b', 1, 'h2', 'h3'));
  const c = ask(turns, move('c', 2, 'h3', 'h4'));
  const d = ask(turns, move('d', 3, 'h5', 'h6'));
  await settled();
  expect([b.taken(), c.taken(), d.taken()]).toEqual([false, false, true]);
  expect(c.notes).toEqual(['waiting: b came before it on host h3']);
});

test('what copied before the server was started counts, whatever the limit', async () => {
  const turns = new Turns(1);
  turns.keep(move('a', 0));
  turns.keep(move('b', 1));
  const c = ask(turns, move('c', 2));
  turns.leave('a');
  await settled();
  expect(c.taken()).toBe(false);
  turns.leave('b');
  await settled();
  expect(c.taken()).toBe(true);
});

test('any number in both directions: each has its turn, and never more than so many at once on a host', async () => {
  const turns = new Turns(2);
  const left = Array.from({ length: 40 }, (_, at) => {
    const [source, target] = [`h${at % 4}`, `h${(at * 7 + 1) % 4}`];
    return { source, target, name: `m${at}`, asked: ask(turns, move(`m${at}`, 100 - at, source, target)) };
  });
  const open = new Set(left);
  while (open.size > 0) {
    await settled();
    const copying = [...open].filter(({ asked }) => asked.taken());
    expect(copying.length, 'somebody has a turn').toBeGreaterThan(0);
    for (const host of ['h0', 'h1', 'h2', 'h3']) {
      expect(copying.filter(({ source, target }) => source === host || target === host).length).toBeLessThan(3);
    }
    const [done] = copying;
    if (done === undefined) break;
    turns.leave(done.name);
    open.delete(done);
  }
});
