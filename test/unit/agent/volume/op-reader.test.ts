import { describe, expect, test } from 'vitest';
import { isEntryName, OpReader } from '../../../../src/agent/volume/op-reader.ts';

const nothing = Buffer.alloc(0);

test.for(['a', '...', '..a', 'with\nnewline', ' ', 'x'.repeat(255)])('%j can be the name of an entry', (name) => {
  expect(isEntryName(Buffer.from(name))).toBe(true);
});

test.for(['', '.', '..', 'a/b', '/', 'a\0', 'x'.repeat(256)])('%j can not', (name) => {
  expect(isEntryName(Buffer.from(name))).toBe(false);
});

describe('the reader of operations', () => {
  test('takes data from the end of the frame, that of the first operation last', () => {
    const reader = new OpReader(nothing, Buffer.from('secondfirst'));
    expect(reader.data(5).toString()).toBe('first');
    expect(reader.data(6).toString()).toBe('second');
    reader.finish();
  });

  test.for([
    ['a field that is cut off', (reader: OpReader) => reader.u32()],
    ['more data than there is', (reader: OpReader) => reader.data(4)],
    ['data left over', (reader: OpReader) => reader.finish()],
    ['a name without its NUL', (reader: OpReader) => reader.entryName()],
  ] as const)('refuses %s', ([, act]) => {
    const reader = new OpReader(Buffer.from([1, 0, 65]), Buffer.from('abc'));
    expect(() => act(reader)).toThrow(expect.objectContaining({ code: 'PROTOCOL_ERROR' }));
  });

  test('reads times before 1970', () => {
    const bytes = Buffer.alloc(24);
    bytes.writeBigInt64LE(-1_234_567_890n, 12);
    expect(new OpReader(bytes, nothing).metadata()).toMatchObject({ mtimeSeconds: -1_234_567_890 });
  });
});
