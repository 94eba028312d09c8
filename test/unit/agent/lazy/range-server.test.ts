import { duplexPair, PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { serveRanges } from '../../../../src/agent/lazy/range-server.ts';
import { type Frame, FrameChannel, kinds } from '../../../../src/agent/lazy/wire.ts';

const REQUESTS = 20;
const MOST_AT_ONCE = 4;
const LENGTH = 4096;

/** A source whose reads end when they are let to, in the order in which they were begun. */
function slowSource() {
  const waiting: (() => void)[] = [];
  let begun = 0;
  let most = 0;
  const counted = Promise.withResolvers<void>();
  return {
    counted: counted.promise,
    begun: () => begun,
    mostAtOnce: () => most,
    release: () => waiting.shift()?.(),
    read: (file: number, offset: number, length: number): Promise<Buffer> => {
      begun += 1;
      if (begun === MOST_AT_ONCE) counted.resolve();
      const { promise, resolve } = Promise.withResolvers<Buffer>();
      waiting.push(() => resolve(Buffer.alloc(length, file + offset / LENGTH)));
      most = Math.max(most, waiting.length);
      return promise;
    },
    entries: () => ({ bytes: Buffer.alloc(0), next: null }),
  };
}

function request(file: number, offset: number): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt32LE(file, 0);
  body.writeBigUInt64LE(BigInt(offset), 4);
  body.writeUInt32LE(LENGTH, 12);
  return body;
}

test('of the requests that came at once a few are read ahead of the answers, never all, and answered in their order', async () => {
  const [here, there] = duplexPair();
  const source = slowSource();
  const served = serveRanges({ socket: there, keys: null }, source);
  using channel = new FrameChannel({ socket: here, keys: null });
  const packer = new PassThrough();
  using packing = new FrameChannel({ socket: packer, keys: null });
  for (let id = 0; id < REQUESTS; id += 1) packing.send(kinds.read, id, request(0, id * LENGTH));
  // They arrive as one piece.
  here.write(packer.read());

  await source.counted;
  await new Promise(setImmediate);
  expect(source.begun()).toBe(MOST_AT_ONCE);
  const answers: Frame[] = [];
  here.on('data', (piece: Buffer) => {
    for (const frame of channel.receive(piece)) if (frame.kind === kinds.data) answers.push(frame);
  });
  while (answers.length < REQUESTS) {
    source.release();
    await new Promise(setImmediate);
  }
  expect(source.mostAtOnce()).toBe(MOST_AT_ONCE);
  expect(source.begun()).toBe(REQUESTS);
  expect(answers.map(({ id, body }) => [id, body.at(-1)])).toEqual(
    Array.from({ length: REQUESTS }, (_, id) => [id, id]),
  );
  here.destroy();
  await served;
});
