import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ServedFiles } from '../../../src/agent/lazy/served-files.ts';
import { RACY_MS } from '../../../src/agent/volume/entry-recorder.ts';
import { ChangeLog } from '../../../src/agent/volume/index.ts';
import { openManifest } from '../../../src/agent/volume/partial-manifest.ts';
import {
  CHANGES,
  FAN_ATTRIB,
  FAN_CLOSE_WRITE,
  FAN_CREATE,
  FAN_DELETE,
  FAN_DELETE_SELF,
  FAN_MODIFY,
  FAN_MOVE_SELF,
  FAN_MOVED_FROM,
  FAN_MOVED_TO,
} from '../../../src/linux/change-events.ts';
import { type FileSystem, Image } from '../lazy/images.ts';
import { Helper } from './helper-process.ts';
import { dumpManifest } from './manifest-dump.ts';
import { type Mutation, mutate, mutation } from './mutation.ts';
import { type ReceiveJob, RoundThreads, type SendJob } from './round-threads.ts';
import { removeAll } from './rounds.ts';
import { snapshot, withoutBlocks } from './snapshot.ts';

const ANSWER_MS = 20_000;
/** Above it a file follows. */
const SMALL = 10;
let image: Image;
let threads: RoundThreads;
/** Where the trees are. */
let place: string;
const in_ = (name: string): string => join(place, name);

beforeAll(() => {
  image = new Image((process.env['CARGO_FS'] ?? 'ext4') as FileSystem, 512, '/dev/shm');
  threads = new RoundThreads();
});
afterAll(async () => {
  await threads[Symbol.asyncDispose]();
  image[Symbol.dispose]();
});
beforeEach(() => {
  place = image.path;
  begin();
});

const mmapWriter = `
import mmap, os, sys
f = os.open(sys.argv[1], os.O_RDWR); m = mmap.mmap(f, 0); os.close(f)
for line in sys.stdin:
    m[int(line):int(line) + 5] = b'DIRTY'
    print('stored')
`;

function begin(): void {
  for (const name of ['a', 'b', 'state-a', 'state-b']) {
    if (fs.existsSync(in_(name))) removeAll(in_(name));
  }
  for (const name of ['a', 'b']) fs.mkdirSync(in_(name));
}

async function round(job: Partial<SendJob> & { label: string }) {
  const root = { path: in_('a'), isFile: false };
  const send: SendJob = { kind: 'send', root, stateDir: in_('state-a'), round: 1, final: true, ...job };
  const target = { path: in_('b'), isFile: false };
  const receive: ReceiveJob = { kind: 'receive', root: target, stateDir: in_('state-b'), round: 1 };
  const stats = await threads.run(send, receive, Number.POSITIVE_INFINITY);
  if (stats === null) throw new Error('it was not cut');
  return stats;
}

/** A round that scans, changes, and a round by the list of changes; what is left equals what a scan says. */
async function playRound(
  log: ChangeLog,
  first: readonly Mutation[],
  then: readonly Mutation[] | ((root: string) => unknown),
  pauseMs = 0,
): Promise<void> {
  begin();
  mutate(in_('a'), first);
  await delay(pauseMs);
  const [before, listed, scanned] = [randomUUID(), randomUUID(), randomUUID()];
  await log.begin(before);
  await round({ label: before, final: false, isFollowed: true });
  log.acknowledge(before);
  if (typeof then === 'function') then(in_('a'));
  else mutate(in_('a'), then);
  const changes = await log.changes();
  if (!('base' in changes)) throw new Error(changes.reason);
  const sent = await round({ label: listed, changes, audit: true });
  expect(withoutBlocks(snapshot(in_('b')))).toEqual(withoutBlocks(snapshot(in_('a'))));
  expect(fs.readdirSync(in_('state-a')).filter((name) => name.includes('.part.'))).not.toEqual([]);
  const asListed = dumpManifest(in_('state-a'), listed);
  const { files, deleted, bytes, totalFiles } = await round({ label: scanned });
  expect({ files, deleted, bytes }).toEqual({ files: 0, deleted: 0, bytes: 0 });
  expect(sent.totalFiles).toBe(totalFiles);
  expect(asListed).toEqual(dumpManifest(in_('state-a'), scanned));
}

/** Room that is reserved beyond a file's end does not always arrive, however changes are found. */
const mutations = fc.array(
  mutation.filter(({ act }) => act !== 'allocate'),
  { maxLength: 25 },
);

test('a round by the list of changes leaves what a round with a scan would', async () => {
  await using log = ChangeLog.start(in_('a'));
  await fc.assert(
    fc.asyncProperty(mutations, mutations, (first, then) => playRound(log, first, then)),
    { numRuns: Number(process.env['CARGO_MODEL_RUNS'] ?? 25), verbose: 1 },
  );
});

test('what is left to follow by such a round, its part alone tells as the whole manifest does', async () => {
  await using log = ChangeLog.start(in_('a'));
  let most = 0;
  const play = async (first: readonly Mutation[], then: readonly Mutation[]): Promise<void> => {
    begin();
    for (const name of ['stays', 'moves']) fs.writeFileSync(in_(`a/${name}`), Buffer.alloc(5000, name));
    fs.linkSync(in_('a/stays'), in_('a/linked'));
    mutate(in_('a'), first);
    const [before, listed] = [randomUUID(), randomUUID()];
    await log.begin(before);
    await round({ label: before, final: false, isFollowed: true, contentLimit: SMALL });
    log.acknowledge(before);
    mutate(in_('a'), then);
    const changes = await log.changes();
    if (!('base' in changes)) throw new Error(changes.reason);
    await round({ label: listed, changes, contentLimit: SMALL });
    const byPart = following();
    expect(fs.readdirSync(in_('state-a')), 'the part is enough').not.toContain(`${listed}.tree`);
    openManifest(in_('state-a'), listed)[Symbol.dispose]();
    expect(following()).toEqual(byPart);
    most = Math.max(most, byPart.length);
  };
  await fc.assert(fc.asyncProperty(mutations, mutations, play), {
    numRuns: Number(process.env['CARGO_MODEL_RUNS'] ?? 10),
    verbose: 1,
  });
  expect(most, 'files that follow').toBeGreaterThan(1);
});

/** Of the last round, in the order in which they are numbered. */
function following(): string[] {
  using files = new ServedFiles({ path: in_('a'), stateDir: in_('state-a') });
  return Array.from({ length: files.count }, (_, file) => {
    const { path, size, mtimeSeconds } = files.list(file);
    return `${Buffer.concat(path.flatMap((name) => [Buffer.from('/'), name])).toString('hex')} ${size} ${mtimeSeconds}`;
  });
}

const kinds = {
  FAN_ATTRIB,
  FAN_CLOSE_WRITE,
  FAN_CREATE,
  FAN_DELETE,
  FAN_DELETE_SELF,
  FAN_MODIFY,
  FAN_MOVE_SELF,
  FAN_MOVED_FROM,
  FAN_MOVED_TO,
};

/** What shows in one kind of event alone, or else makes the round scan: before the round, after it. */
const needed: { kind: keyof typeof kinds; first: Mutation[]; changes: Mutation[] | ((root: string) => unknown) }[] = [
  {
    kind: 'FAN_MODIFY',
    first: [write('a')],
    changes: (root) => execFileSync('python3', ['-c', `import os; os.truncate("${root}/a", 5)`]),
  },
  { kind: 'FAN_CLOSE_WRITE', first: [write('a')], changes: (root) => storeThroughMapping(join(root, 'a')) },
  { kind: 'FAN_ATTRIB', first: [write('a')], changes: [{ act: 'chmod', path: 'a', mode: 0o600 }] },
  { kind: 'FAN_CREATE', first: [], changes: [{ act: 'mkdir', path: 'd' }] },
  { kind: 'FAN_DELETE', first: [{ act: 'mkdir', path: 'd' }], changes: [{ act: 'remove', path: 'd' }] },
  {
    kind: 'FAN_MOVED_FROM',
    first: [write('c/a'), write('d/a')],
    changes: [{ act: 'rename', path: 'c/a', other: 'd/b' }],
  },
  {
    kind: 'FAN_MOVED_TO',
    first: [write('c/a'), write('d/a')],
    changes: [{ act: 'rename', path: 'c/a', other: 'd/b' }],
  },
  {
    kind: 'FAN_MOVE_SELF',
    first: [write('a')],
    changes: [
      { act: 'rename', path: 'a', other: 'b' },
      { act: 'rename', path: 'b', other: 'a' },
    ],
  },
  {
    // The new directory gets the number of the old one.
    kind: 'FAN_DELETE_SELF',
    first: [{ act: 'mkdir', path: 'd' }],
    changes: [
      { act: 'remove', path: 'd' },
      { act: 'mkdir', path: 'd' },
    ],
  },
];

function write(path: string): Mutation {
  return { act: 'write', path, size: 100_000, fill: 7 };
}

/** By a process that closed the file before the round began and ends now. */
function storeThroughMapping(path: string): void {
  const store = `import mmap, os
f = os.open("${path}", os.O_RDWR); m = mmap.mmap(f, 0); os.close(f)
m[5000:5005] = b"DIRTY"`;
  execFileSync('python3', ['-c', store]);
}

test.for(needed)('$kind shows what nothing else does', async ({ kind, first, changes }) => {
  {
    await using log = ChangeLog.start(in_('a'));
    await playRound(log, first, changes);
  }
  // Where numbers are not used again, nothing depends on it.
  if (kind === 'FAN_DELETE_SELF' && image.kind !== 'ext4') return;
  await using deaf = ChangeLog.start(image.path, CHANGES & ~kinds[kind]);
  let wasMissed = false;
  for (let attempt = 0; !wasMissed && attempt < ATTEMPTS; attempt += 1) {
    if (attempt > 0) useOtherNumbers();
    wasMissed = await isMissed(deaf, first, changes);
  }
  expect(wasMissed).toBe(true);
});

/**
 * What is stored through a mapping is looked for by number alone, in all processes: a file of another file system that happens
 * to have the number stands in for the event that is missing. With other numbers it hardly does.
 */
const [ATTEMPTS, NUMBERS] = [8, 300];

function useOtherNumbers(): void {
  place = fs.mkdtempSync(join(image.path, 'place-'));
  for (let index = randomInt(NUMBERS); index > 0; index -= 1) fs.writeFileSync(in_(`taken-${index}`), '');
}

/** True if the audit, or a look at what arrived, found that something was not listed. */
async function isMissed(...[log, first, changes]: Parameters<typeof playRound>): Promise<boolean> {
  try {
    // A file that has only just been changed is looked at again whatever a list says: nothing would be missed.
    await playRound(log, first, changes, 2 * RACY_MS);
    return false;
  } catch (error) {
    if (error instanceof Error && /missed a change|to not deeply equal/.test(error.message)) return true;
    throw error;
  }
}

test('what a process stores through a mapping while the log is asked is in the list', async () => {
  await using log = ChangeLog.start(in_('a'));
  const path = join(in_('a'), 'mapped');
  fs.writeFileSync(path, Buffer.alloc(1 << 20, 'x'));
  await using writer = new Helper(mmapWriter, path);
  await log.begin('first');
  log.acknowledge('first');
  await writer.ask('5000');
  expect(await inodesOf(log)).toContain(fs.statSync(path).ino);
});

test('a log that was not there the whole time, or lost events, says so', async () => {
  await using log = ChangeLog.start(in_('a'));
  expect(await log.changes()).toHaveProperty('reason');
  await log.begin('first');
  expect(await log.changes()).toHaveProperty('reason');
  log.acknowledge('first');
  expect(await log.changes()).toHaveProperty('base', 'first');
  const reader = fork(new URL('./change-log-process.ts', import.meta.url), [in_('a')]);
  try {
    expect(await ask(reader, 'begin')).toBe('begun');
    reader.kill('SIGSTOP');
    await expect.poll(() => fs.readFileSync(`/proc/${reader.pid}/stat`, 'latin1')).toMatch(/\) T /);
    const limit = Number(fs.readFileSync('/proc/sys/fs/fanotify/max_queued_events', 'utf8'));
    const create = `for i in range(${limit + 1}): open("${in_('a')}/%d" % i, "w")`;
    execFileSync('python3', ['-c', create]);
    reader.kill('SIGCONT');
    expect(await ask(reader, 'changes')).toBe('events were lost');
    expect(await ask(reader, 'begin')).toBe('begun');
    expect(await ask(reader, 'changes')).toMatch(/ inodes$/);
  } finally {
    reader.kill('SIGKILL');
  }
});

async function ask(reader: ChildProcess, question: string): Promise<unknown> {
  const answer = once(reader, 'message', { signal: AbortSignal.timeout(ANSWER_MS) });
  reader.send(question);
  const [text] = await answer;
  return text;
}

test('a file system that is unmounted takes the log with it, and others have none', async () => {
  expect(() => ChangeLog.start('/dev/shm')).toThrow(/changes can't be followed/);
  const other = new Image('ext4', 64, '/dev/shm');
  await using log = ChangeLog.start(other.path);
  await log.begin('first');
  log.acknowledge('first');
  other[Symbol.dispose]();
  expect(await log.changes()).toHaveProperty('reason');
});

async function inodesOf(log: ChangeLog): Promise<number[]> {
  const changes = await log.changes();
  if (!('base' in changes)) throw new Error(changes.reason);
  return [...changes.inodes].filter((_, index) => index % 2 === 0);
}
