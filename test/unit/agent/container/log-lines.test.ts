import { expect, test } from 'vitest';
import { unframed } from '../../../../src/agent/container/log-lines.ts';

function frame(output: number, text: string): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(output, 0);
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

test('frames of both outputs are put together', () => {
  expect(unframed(Buffer.concat([frame(1, 'out\n'), frame(2, 'err\n')])).toString()).toBe('out\nerr\n');
});

test('the log of a container with a terminal has no frames', () => {
  expect(unframed(Buffer.from('plain text of a terminal\n')).toString()).toBe('plain text of a terminal\n');
  expect(unframed(Buffer.alloc(0)).toString()).toBe('');
});
