import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Applier } from '../../../src/agent/volume/applier.ts';
import { BlockHash } from '../../../src/agent/volume/block-hash.ts';
import { DATA_PROTOCOL } from '../../../src/agent/volume/format.ts';
import { FrameAssembler } from '../../../src/agent/volume/frame-assembler.ts';
import { encodeHeader, type FrameKind, frameKinds } from '../../../src/agent/volume/frames.ts';
import { receiveRound, sendRound } from '../../../src/agent/volume/index.ts';
import { OpenRoot } from '../../../src/agent/volume/open-root.ts';
import { ops } from '../../../src/agent/volume/ops.ts';
import { Stash } from '../../../src/agent/volume/stash.ts';
import { CargoError } from '../../../src/api/cargo-error.ts';
import { PORTABLE_FLAGS, readFlags } from '../../../src/linux/inode-flags.ts';
import { socketPair, TreePair } from './rounds.ts';
import { snapshot } from './snapshot.ts';

let pair: TreePair;
beforeEach(() => {
  pair = new TreePair();
});
afterEach(() => pair[Symbol.dispose]());

/** A peer that says what it likes. */
class RawPeer {
  readonly #socket: Socket;
  readonly #kinds: FrameKind[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    const assembler = new FrameAssembler(null);
    socket.on('error', () => {});
    socket.on('data', (piece) => assembler.push(piece, ({ header }) => this.#note(header.kind)));
  }

  send(kind: FrameKind, opBytes: Uint8Array | object, data: Uint8Array = Buffer.alloc(0)): void {
    const body = opBytes instanceof Uint8Array ? opBytes : Buffer.from(JSON.stringify(opBytes));
    this.#socket.write(encodeHeader({ kind, opsLength: body.length, dataLength: data.length }));
    this.#socket.write(body);
    this.#socket.write(data);
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  #note(kind: FrameKind): void {
    this.#kinds.push(kind);
    if (kind === frameKinds.error) this.#socket.destroy();
  }

  /** Plays a source up to where ops may follow. */
  async introduce(): Promise<void> {
    this.send(frameKinds.hello, { protocol: DATA_PROTOCOL, round: 1, final: false, isFile: false, hashKey, bases: [] });
    while (!this.#kinds.includes(frameKinds.haveEnd)) await once(this.#socket, 'data');
    this.send(frameKinds.plan, { files: 1, bytes: 1 });
  }
}

async function receiverAndPeer() {
  const [left, right] = await socketPair();
  const received = receiveRound({
    socket: left,
    keys: null,
    root: { path: pair.target, isFile: false },
    stateDir: join(pair.directory, 'state'),
    round: 1,
    signal: AbortSignal.timeout(20_000),
  });
  received.catch(() => {});
  return { received, peer: new RawPeer(right) };
}

const hash = new BlockHash(BlockHash.newKey());
const hashKey = BlockHash.newKey().toString('base64');
const u16 = (value: number): Buffer => Buffer.from([value & 255, value >> 8]);
const named = (code: number, name: Buffer): Buffer =>
  Buffer.concat([Buffer.from([code]), u16(name.length), name, Buffer.from([0])]);

test.for(['..', '.', '', '../evil', '/etc/evil', 'a/b', 'nul\0inside', 'x'.repeat(256)])(
  'an entry named %j is refused',
  async (name) => {
    for (const code of name === '..' ? [ops.mkdir, ops.enter, ops.unlink] : [ops.mkdir]) {
      const before = snapshot(pair.directory).filter((line) => !line.includes('state'));
      const { received, peer } = await receiverAndPeer();
      await peer.introduce();
      peer.send(frameKinds.ops, named(code, Buffer.from(name)));
      await expect(received).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' });
      expect(
        snapshot(pair.directory)
          .filter((line) => !line.includes('state'))
          .slice(1),
      ).toEqual(before.slice(1));
    }
  },
);

test('a symlink planted by the source is not followed by what it sends next', async () => {
  const outside = join(pair.directory, 'outside');
  fs.mkdirSync(outside);
  const { received, peer } = await receiverAndPeer();
  await peer.introduce();
  const metadata = Buffer.alloc(24);
  const symlink = Buffer.concat([
    named(ops.symlink, Buffer.from('way-out')),
    metadata,
    u16(outside.length),
    Buffer.from(`${outside}\0`),
    Buffer.from([ops.done, 1]),
  ]);
  const inside = Buffer.concat([named(ops.enter, Buffer.from('way-out')), named(ops.mkdir, Buffer.from('planted'))]);
  peer.send(frameKinds.ops, Buffer.concat([symlink, inside]));
  await expect(received).rejects.toMatchObject({ code: 'INTERNAL' });
  expect(fs.readdirSync(outside)).toEqual([]);
});

test('leaving the root is refused', async () => {
  const { received, peer } = await receiverAndPeer();
  await peer.introduce();
  peer.send(frameKinds.ops, Buffer.from([ops.leave]));
  await expect(received).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' });
});

test.for([
  ['a length of gigabytes', Buffer.from([7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])],
  ['an unknown kind', Buffer.from([99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
] as const)('%s instead of a frame is refused unread', async ([, bytes]) => {
  const { received, peer } = await receiverAndPeer();
  peer.write(bytes);
  await expect(received).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' });
});

test('data that do not have their hash are not written', async () => {
  const { received, peer } = await receiverAndPeer();
  await peer.introduce();
  const small = Buffer.concat([
    named(ops.small, Buffer.from('file')),
    Buffer.alloc(24),
    randomBytes(16),
    Buffer.from([4, 0, 0, 0]),
  ]);
  peer.send(frameKinds.ops, small, Buffer.from('data'));
  await expect(received).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
  expect(fs.readdirSync(pair.target)).toEqual([]);
});

test('a source survives any manifest that a target claims to have', { timeout: 120_000 }, async () => {
  fs.mkdirSync(join(pair.source, 'dir'));
  fs.writeFileSync(join(pair.source, 'dir/file'), 'content');
  for (let attempt = 0; attempt < 12; attempt += 1) {
    const [left, right] = await socketPair();
    const sent = sendRound({
      socket: left,
      keys: null,
      root: { path: pair.source, isFile: false },
      stateDir: join(pair.directory, `state-${attempt}`),
      round: 1,
      final: false,
      bwlimit: null,
      signal: AbortSignal.timeout(20_000),
    });
    const peer = new RawPeer(right);
    peer.send(frameKinds.welcome, { base: null });
    const tree = randomBytes(attempt * 1000);
    if (attempt > 6) tree.writeUInt16LE(128 + attempt * 8, 0);
    peer.send(frameKinds.haveTree, Buffer.alloc(0), tree);
    peer.send(frameKinds.haveEnd, {});
    await expect(sent).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' });
  }
});

test('no operation takes a name that leads elsewhere', () => {
  using root = OpenRoot.open({ path: pair.target, isFile: false });
  using stash = new Stash(root);
  const { enter, unlink, rmdir, stash: put, anchor, take, link, mkdir, small, file, symlink, node, touch } = ops;
  for (const code of [enter, unlink, rmdir, put, anchor, take, link, mkdir, small, file, symlink, node, touch]) {
    for (const name of ['', '.', '..', 'a/b', '/', '../x', 'nul\0', 'x'.repeat(256)]) {
      using applier = new Applier({ root, stash, hash }, () => {});
      const bytes = Buffer.concat([named(code, Buffer.from(name)), Buffer.alloc(80)]);
      expect(() => applier.apply(bytes, Buffer.alloc(0), () => {}), `${code} ${name}`).toThrow(/transfer protocol/);
    }
  }
  expect(fs.readdirSync(pair.target)).toEqual([]);
});

const begun = Buffer.concat([named(ops.file, Buffer.from('f')), Buffer.alloc(24), Buffer.from([1]), Buffer.alloc(8)]);
const attribute = (name: string, value: Buffer): Buffer =>
  Buffer.concat([begun, named(ops.xattr, Buffer.from(name)), u32(value.length)]);
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const range = (...numbers: bigint[]): Buffer =>
  Buffer.concat(
    numbers.map((number) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(number);
      return bytes;
    }),
  );

test.for<[string, Buffer, Buffer]>([
  ['data of no file', Buffer.concat([Buffer.from([ops.data]), Buffer.alloc(32)]), Buffer.alloc(0)],
  ['the end of nothing', Buffer.from([ops.done, 1]), Buffer.alloc(0)],
  ['an attribute of nothing', Buffer.concat([named(ops.xattr, Buffer.from('user.a')), u32(0)]), Buffer.alloc(0)],
  ['a file in a file', Buffer.concat([begun, begun]), Buffer.alloc(0)],
  ['a block outside its file', Buffer.concat([begun, Buffer.from([ops.data]), Buffer.alloc(32)]), Buffer.alloc(0)],
  ['more data than there are', attribute('user.a', Buffer.alloc(9)), Buffer.alloc(3)],
  ['data that nobody asked for', attribute('user.a', Buffer.alloc(1)), Buffer.alloc(3)],
  ['a cut-off list of ranges', attribute('cargo.reserved', Buffer.alloc(7)), Buffer.alloc(7)],
  ['an empty range', attribute('cargo.reserved', Buffer.alloc(16)), range(5n, 0n)],
  ['a range beyond all numbers', attribute('cargo.reserved', Buffer.alloc(16)), range(1n << 62n, 1n << 62n)],
  ['an offset beyond all numbers', Buffer.concat([begun.subarray(0, -8), Buffer.alloc(8, 0xff)]), Buffer.alloc(0)],
])('%s is refused', ([, opBytes, data]) => {
  using root = OpenRoot.open({ path: pair.target, isFile: false });
  using stash = new Stash(root);
  using applier = new Applier({ root, stash, hash }, () => {});
  expect(() => applier.apply(opBytes, data, () => {})).toThrow(/transfer protocol/);
});

test('room for more than there is on earth is an error of the file system, and flags are only those that we know', () => {
  using root = OpenRoot.open({ path: pair.target, isFile: false });
  using stash = new Stash(root);
  const huge = range(0n, 1n << 50n);
  {
    using applier = new Applier({ root, stash, hash }, () => {});
    expect(() => applier.apply(attribute('cargo.reserved', huge), huge, () => {})).toThrow(/EFBIG|ENOSPC/);
  }
  fs.rmSync(join(pair.target, 'f'));
  using applier = new Applier({ root, stash, hash }, () => {});
  const all = Buffer.alloc(4, 0xff);
  applier.apply(Buffer.concat([attribute('cargo.flags', all), Buffer.from([ops.done, 1])]), all, () => {});
  const fd = fs.openSync(join(pair.target, 'f'), 'r');
  expect(readFlags(fd) & 0xff).toBe(PORTABLE_FLAGS);
  fs.closeSync(fd);
});

test.for<[string, FrameKind, object]>([
  ['a base that it was not offered', frameKinds.welcome, { base: '../../../../etc/passwd' }],
  ['operations of its own', frameKinds.ops, {}],
  ['an acknowledgement of nothing', frameKinds.acknowledge, { state: 'x' }],
  ['the end', frameKinds.end, {}],
])('a target that answers with %s gets nothing', async ([, kind, body]) => {
  fs.writeFileSync(join(pair.source, 'file'), 'content');
  const [left, right] = await socketPair();
  const received: Buffer[] = [];
  right.on('data', (piece) => received.push(piece));
  const sent = sendRound({
    socket: left,
    keys: null,
    root: { path: pair.source, isFile: false },
    stateDir: join(pair.directory, 'state'),
    round: 1,
    final: false,
    bwlimit: null,
    signal: AbortSignal.timeout(20_000),
  });
  new RawPeer(right).send(kind, body);
  await expect(sent).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' });
  expect(Buffer.concat(received).includes('content')).toBe(false);
  right.destroy();
});

test('random operations do nothing outside the root, and fail as errors of ours or of the file system', () => {
  const outside = join(pair.directory, 'outside');
  fs.mkdirSync(outside);
  fs.writeFileSync(join(outside, 'file'), 'untouched');
  fs.symlinkSync(outside, join(pair.target, 'a'));
  const before = snapshot(outside);
  const name = fc.constantFrom('a', 'b', '..', 'a/file', '.', 'c').map((text) => Buffer.from(text));
  const op = fc
    .tuple(fc.integer({ min: 0, max: 22 }), name, fc.uint8Array({ maxLength: 60 }))
    .map(([code, text, rest]) => {
      return Buffer.concat([named(code, text), rest]);
    });
  fc.assert(
    fc.property(fc.array(op, { maxLength: 8 }), fc.uint8Array({ maxLength: 100 }), (list, data) => {
      using root = OpenRoot.open({ path: pair.target, isFile: false });
      using stash = new Stash(root);
      using applier = new Applier({ root, stash, hash }, () => {});
      try {
        applier.apply(Buffer.concat(list), Buffer.from(data), () => {});
      } catch (error) {
        const isExpected = error instanceof CargoError || (error instanceof Error && 'syscall' in error);
        if (!isExpected) throw error;
      }
    }),
    { numRuns: 3000 },
  );
  expect(snapshot(outside)).toEqual(before);
});

const secret = 'nobody on the way shall read this';
/** Longer than a frame, so that the change is in the middle of the transfer. */
const content = Buffer.from(secret.repeat(100_000));

test('somebody on the way who changes a single bit leaves the target without anything wrong', async () => {
  fs.writeFileSync(join(pair.source, 'file'), content);
  let passed = 0;
  const onTheWay = (bytes: Buffer): Buffer => {
    passed += bytes.length;
    if (passed > 100_000 && passed - bytes.length <= 100_000) bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    return bytes;
  };
  const [sent, received] = await pair.attempt({ onTheWay });
  expect(sent.status).toBe('rejected');
  expect(received).toMatchObject({ status: 'rejected', reason: { code: 'PEER_UNREACHABLE' } });
  await pair.round();
  expect(snapshot(pair.target)).toEqual(snapshot(pair.source));
});

test.each([
  ['reads nothing of sealed frames', true],
  ['control: reads what is not sealed', false],
])('somebody on the way %s', async (_what, sealed) => {
  fs.writeFileSync(join(pair.source, 'file'), content);
  let seen = false;
  const onTheWay = (bytes: Buffer): Buffer => {
    seen ||= bytes.includes(secret);
    return bytes;
  };
  const [sent, received] = await pair.attempt({ sealed, onTheWay });
  expect([sent.status, received.status]).toEqual(['fulfilled', 'fulfilled']);
  expect(seen).toBe(!sealed);
});
