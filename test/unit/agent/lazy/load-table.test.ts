import { expect, test } from 'vitest';
import { copyOrder } from '../../../../src/agent/lazy/load-table.ts';
import { PlaceholderList, PlaceholderWriter } from '../../../../src/agent/lazy/placeholders.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const now = Math.floor(Date.now() / 1000);
const DAY = 86_400;

async function listOf(files: readonly { size: number; age: number }[]) {
  const directory = await temporaryDirectory();
  using writer = new PlaceholderWriter(directory.path);
  files.forEach(({ size, age }, file) => {
    writer.add({
      file,
      inode: 100 + file,
      size,
      mtimeSeconds: now - age,
      isSparse: file % 2 === 1,
      handle: Buffer.of(file & 255),
    });
  });
  await writer.finish();
  const list = new PlaceholderList(directory.path);
  return { list, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

test('small files come first, of about the same size those that changed last, then as they are listed', async () => {
  await using made = await listOf([
    { size: 2 ** 40, age: 0 },
    { size: 100_000, age: 300 * DAY },
    { size: 100_001, age: DAY },
    { size: 5_000_000, age: DAY },
    { size: 100_002, age: DAY },
    { size: 100_003, age: -DAY },
    { size: 2 ** 52, age: 2 ** 40 },
  ]);
  const { files, fresh } = copyOrder(made.list);
  expect([...files]).toEqual([5, 2, 4, 1, 3, 0, 6]);
  expect(fresh, 'the one of tomorrow').toBe(1);
});

test('what was in use when the last change was made comes before all else, unless it is large', async () => {
  await using made = await listOf([
    { size: 70_000, age: DAY },
    { size: 96 * 2 ** 20, age: 1000 },
    { size: 12 * 2 ** 20, age: 1059 },
    { size: 2 ** 30, age: 1000 },
    { size: 80_000, age: 1061 },
  ]);
  const { files, fresh } = copyOrder(made.list);
  expect([...files]).toEqual([2, 1, 4, 0, 3]);
  expect(fresh).toBe(2);
});

test('read in large pieces, the list says of each file what it says one by one', async () => {
  const files = Array.from({ length: 2500 }, (_, index) => ({ size: 70_000 + index, age: index }));
  await using made = await listOf(files);
  const whole = [...made.list.all()];
  expect(whole).toHaveLength(2500);
  whole.forEach((placeholder, slot) => {
    const { handle: _handle, ...rest } = made.list.at(slot);
    expect(placeholder).toEqual(rest);
  });
  expect([...copyOrder(made.list).files].sort((a, b) => a - b)).toEqual(files.map((_, index) => index));
});
