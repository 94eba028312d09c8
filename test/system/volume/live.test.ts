import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { writeBack } from '../../../src/linux/sync.ts';
import { Helper } from './helper-process.ts';
import { TreePair } from './rounds.ts';
import { snapshot, withoutBlocks } from './snapshot.ts';

const mmapWriter = `
import mmap, sys
f = open(sys.argv[1], 'r+b')
m = mmap.mmap(f.fileno(), 0)
for line in sys.stdin:
    m[int(line):int(line) + 5] = b'DIRTY'
    print('stored')
`;

/** Until a change now would get another ctime than the last one, without being called racy for it. */
async function untilQuiet(path: string): Promise<void> {
  while (Date.now() - fs.statSync(path).ctimeMs < 200) await delay(20);
}

test('what a process stores through a mapping that stays dirty arrives in the next round', async () => {
  using pair = new TreePair();
  const path = join(pair.source, 'mapped');
  fs.writeFileSync(path, Buffer.alloc(1 << 20, 'x'));
  await using writer = new Helper(mmapWriter, path);
  await writer.ask('5000');
  await untilQuiet(path);
  await pair.round();
  await writer.ask('5100');
  await untilQuiet(path);
  const second = await pair.round();
  expect(second.bytes).toBe(65536);
  expect(fs.readFileSync(join(pair.target, 'mapped'))).toEqual(fs.readFileSync(path));
});

test('control: without a write-back after the stat such a store leaves no trace in size, mtime and ctime', async () => {
  using pair = new TreePair();
  const path = join(pair.source, 'mapped');
  fs.writeFileSync(path, Buffer.alloc(1 << 20, 'x'));
  const fd = fs.openSync(path, 'r');
  writeBack(fd);
  const trace = (): bigint[] => {
    const { size, mtimeNs, ctimeNs } = fs.fstatSync(fd, { bigint: true });
    return [size, mtimeNs, ctimeNs];
  };
  await using writer = new Helper(mmapWriter, path);
  await writer.ask('5000');
  await untilQuiet(path);
  const before = trace();
  await writer.ask('5100');
  expect(trace()).toEqual(before);
  writeBack(fd);
  await writer.ask('5200');
  expect(trace()).not.toEqual(before);
  fs.closeSync(fd);
});

const TRIES = 20;

test('a file that changes during the final copy is an error that names it', async () => {
  using pair = new TreePair();
  const path = join(pair.source, 'log');
  fs.writeFileSync(path, Buffer.alloc(4 << 20, 'x'));
  await using writer = new Helper(
    "import select, sys\nf = open(sys.argv[1], 'ab', 0)\nsys.stdin.readline(); print('on')\nwhile not select.select([sys.stdin], [], [], 0)[0]: f.write(b'line')",
    path,
  );
  await writer.ask('go');
  let [sent, received] = await pair.attempt({ final: true });
  // On a busy machine the writer may not have had its turn while the file was read: then it was whole.
  for (let tries = 1; sent.status === 'fulfilled' && tries < TRIES; tries += 1) {
    fs.truncateSync(path, 4 << 20);
    [sent, received] = await pair.attempt({ final: true });
  }
  for (const side of [sent, received]) {
    expect(side).toMatchObject({ status: 'rejected', reason: { code: 'SOURCE_FILE_CHANGED' } });
    expect(String(side.status === 'rejected' && side.reason.message)).toContain('/log was changed');
  }
});

/** Does everything to a few names that a file system can, stores through mappings included, until it is ended. */
const churn = `
import mmap, os, random, select, subprocess, sys
os.chdir(sys.argv[1]); rnd = random.Random(int(sys.argv[2]))
sys.stdin.readline(); print('on')
mappings = []
def name(): return rnd.choice('abcdefgh')
def path(): return '/'.join(name() for _ in range(rnd.randint(1, 3)))
def store(p):
    fd = os.open(p, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if len(mappings) > 20: mappings.pop(rnd.randrange(20)).close()
        mappings.append(mmap.mmap(fd, 0))
    finally: os.close(fd)
while not select.select([sys.stdin], [], [], 0)[0]:
    for m in mappings:
        if rnd.randint(0, 3) == 0:
            at = rnd.randrange(len(m))
            try: m[at] = rnd.randrange(256)
            except (ValueError, IndexError): pass
    try:
        p, q, act = path(), path(), rnd.randint(0, 13)
        if act == 0: os.makedirs(p, exist_ok=True)
        elif act <= 2:
            # A mapping of a file that becomes shorter ends who stores through it.
            if mappings: os.unlink(p)
            open(p, 'wb').write(rnd.randbytes(rnd.randint(0, 200000)))
        elif act == 3: os.rename(p, q)
        elif act == 4: os.link(p, q)
        elif act == 5: os.unlink(p)
        elif act == 6: os.rmdir(p)
        elif act == 7: os.symlink(q, p)
        elif act == 8 and not mappings: os.truncate(p, rnd.randint(0, 300000))
        elif act == 9: store(p)
        elif act == 10:
            new = p + '.new'
            if os.path.lexists(new): os.unlink(new)
            open(new, 'wb').write(rnd.randbytes(rnd.randint(0, 200000))); os.rename(new, p)
        elif act == 11 and not mappings: subprocess.run(['fallocate', '-c', '-o', '4096', '-l', '8192', p], stderr=-3)
        elif act == 12: subprocess.run(['fallocate', rnd.choice(['-p', '-z', '-v']), '-o', '5000', '-l', '90000', p], stderr=-3)
        elif act == 13: os.setxattr(p, 'trusted.x', rnd.randbytes(rnd.randint(0, 50)), follow_symlinks=False)
        if rnd.randint(0, 300) == 0:
            for m in mappings: m.close()
            mappings.clear()
    except (OSError, ValueError): pass
`;

test('rounds of a tree that is being changed end, and the last one after it stopped is exact', async () => {
  using pair = new TreePair();
  {
    await using writer = new Helper(churn, pair.source, '7');
    await writer.ask('go');
    for (let round = 0; round < 3; round += 1) await pair.round();
  }
  await pair.round({ final: true });
  expect(withoutBlocks(snapshot(pair.target))).toEqual(withoutBlocks(snapshot(pair.source)));
});
