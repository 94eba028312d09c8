import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BlockCursor } from '../../../../src/agent/volume/block-cursor.ts';
import { BlockListReader, BlockListWriter } from '../../../../src/agent/volume/block-list.ts';
import { BLOCK_BYTES, DIRECTORY, FILE } from '../../../../src/agent/volume/format.ts';
import { InodeIndex } from '../../../../src/agent/volume/inode-index.ts';
import { PagedFile } from '../../../../src/agent/volume/paged-file.ts';
import { appendRecord, BLOCK, MANY_BLOCKS, RecordView } from '../../../../src/agent/volume/record.ts';
import { openTree, ROOT } from '../../../../src/agent/volume/tree.ts';
import { Stat } from '../../../../src/linux/stat.ts';
import { setMtime } from '../../../../src/linux/times.ts';

let directory = '';
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'cargo-manifest-'));
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

const nothing = new Uint8Array(0);
const name = fc
  .uint8Array({ minLength: 1, maxLength: 255 })
  .filter((bytes) => !bytes.includes(0) && !bytes.includes(47));

/** A tree file of one directory with these entries, their numbers from 2 on. */
function writeTree(names: readonly Uint8Array[]): string {
  const path = join(directory, 'tree');
  using file = PagedFile.create(path);
  const view = new RecordView();
  const append = (type: number, entry: Uint8Array, inode: number): number => {
    const offset = appendRecord(file, { type, flags: 0, name: entry, target: nothing }, null);
    view.moveTo(file, offset).setInode(inode, 0);
    return offset;
  };
  append(DIRECTORY, nothing, 1);
  const block = append(BLOCK, nothing, 1);
  view.moveTo(file, ROOT).setReference(block);
  for (const [index, entry] of names.entries()) append(FILE, entry, index + 2);
  view.moveTo(file, block).setEntryCount(names.length);
  file.flush(false);
  return path;
}

describe('a tree file', () => {
  test('gives its entries back, whatever their names, over many pages', () => {
    fc.assert(
      fc.property(fc.array(name, { maxLength: 700 }), (names) => {
        const usable = names.filter((bytes) => !['.', '..'].includes(Buffer.from(bytes).toString('latin1')));
        const { file, index } = openTree(writeTree(usable));
        using _ = file;
        const view = new RecordView();
        const found: string[] = [];
        for (const cursor = new BlockCursor(file, ROOT); cursor.next(view); ) {
          expect(index.offsetAt(index.find(view.inodeLow, 0))).toBe(view.offset);
          found.push(view.name.subarray(0, -1).toString('hex'));
        }
        expect(found).toEqual(usable.map((bytes) => Buffer.from(bytes).toString('hex')));
      }),
      { numRuns: 30 },
    );
  });

  test('that is damaged anywhere is refused or read, but never endless or out of bounds', () => {
    const good = fs.readFileSync(writeTree([Buffer.from('a'), Buffer.from('bb'), Buffer.from('ccc')]));
    const path = join(directory, 'damaged');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 900 }), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const bytes = Buffer.from(good);
        bytes[at] = value;
        fs.writeFileSync(path, bytes);
        try {
          openTree(path).file[Symbol.dispose]();
        } catch (error) {
          expect(error).toMatchObject({ code: 'PROTOCOL_ERROR' });
        }
      }),
      { numRuns: 500 },
    );
  });
});

test('a record keeps what stat said, exactly', () => {
  fs.writeFileSync(join(directory, 'file'), 'content');
  const fd = fs.openSync(join(directory, 'file'), 'r');
  setMtime(fd, -2, 500_000_000);
  const stat = new Stat().readFd(fd);
  fs.closeSync(fd);
  using file = PagedFile.create(join(directory, 'records'));
  const entry = { type: FILE, flags: 0, name: Buffer.from('file'), target: nothing };
  const view = new RecordView().moveTo(file, appendRecord(file, entry, stat));
  expect([view.mode, view.size, view.mtimeSeconds, view.mtimeNanoseconds]).toEqual([stat.mode, 7, -2, 500_000_000]);
  expect([view.inodeLow, view.ctimeSeconds, view.ctimeNanoseconds]).toEqual([
    stat.inodeLow,
    stat.ctimeSeconds,
    stat.ctimeNanoseconds,
  ]);
});

type Run = { holes: number } | { hash: Buffer };

test('a block list gives back blocks and runs of holes, one block at a time or by runs', () => {
  const run: fc.Arbitrary<Run> = fc.oneof(
    fc.record({ holes: fc.integer({ min: 1, max: 9000 }) }),
    fc.constant(0).map(() => ({ hash: randomBytes(16) })),
  );
  fc.assert(
    fc.property(fc.array(run, { minLength: 2, maxLength: 40 }), fc.boolean(), (runs, skips) => {
      const path = join(directory, 'blocks');
      const record = writeBlocks(path, runs);
      using reader = new BlockListReader(path);
      reader.begin(record);
      for (const one of runs) {
        if ('hash' in one) {
          expect(reader.next() && reader.hash.equals(one.hash) && reader.pageBits === 0xffff).toBe(true);
        } else if (skips) {
          for (let left = one.holes; left > 0; ) left -= reader.skipHoles(left);
        } else {
          for (let index = 0; index < one.holes; index += 1) expect(reader.next() && reader.pageBits === 0).toBe(true);
        }
      }
      expect(reader.next()).toBe(false);
    }),
    { numRuns: 40 },
  );
});

function writeBlocks(path: string, runs: readonly Run[]): RecordView {
  using writer = new BlockListWriter(path);
  for (const one of runs) {
    if ('hash' in one) writer.addBlock(one.hash, 0xffff);
    else writer.addHoles(one.holes);
  }
  writer.endList();
  writer.flush(false);
  using file = PagedFile.create(`${path}.record`);
  const entry = { type: FILE, flags: MANY_BLOCKS, name: Buffer.from('f'), target: nothing };
  const record = new RecordView().moveTo(file, appendRecord(file, entry, null));
  record.setBlockList(0, writer.position);
  expect(BLOCK_BYTES).toBe(65536);
  return record;
}

test('the inode index finds what was added, 64-bit numbers included, and nothing else', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(
        fc.maxSafeInteger().filter((n) => n >= 0),
        { maxLength: 4000 },
      ),
      (inodes) => {
        const index = new InodeIndex(10);
        const split = (inode: number): [number, number] => [inode % 2 ** 32, Math.floor(inode / 2 ** 32)];
        for (const [order, inode] of inodes.entries()) expect(index.add(...split(inode), order * 8)).toBe(true);
        for (const [order, inode] of inodes.entries()) {
          expect(index.offsetAt(index.find(...split(inode)))).toBe(order * 8);
          expect(index.add(...split(inode), 0)).toBe(false);
        }
        expect(index.find(1, 0x7fffffff)).toBe(-1);
      },
    ),
    { numRuns: 20 },
  );
});
