import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { duplexPair, PassThrough } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { serveRanges } from '../../../../src/agent/lazy/range-server.ts';
import {
  encodeRequest,
  type Frame,
  FrameChannel,
  kinds,
  type RangeRequest,
  REQUEST_MAX_BYTES,
} from '../../../../src/agent/lazy/wire.ts';

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
    givenBack: new Set<Buffer>(),
    answer: ({ file, offset, length }: RangeRequest): Promise<Buffer> => {
      begun += 1;
      if (begun === MOST_AT_ONCE) counted.resolve();
      const { promise, resolve } = Promise.withResolvers<Buffer>();
      waiting.push(() => resolve(Buffer.alloc(length, file + offset / LENGTH)));
      most = Math.max(most, waiting.length);
      return promise;
    },
    giveBack(answer: Buffer): void {
      expect(this.givenBack.has(answer), 'given back once').toBe(false);
      this.givenBack.add(answer);
    },
    entries: () => ({ bytes: Buffer.alloc(0), next: null }),
  };
}

test('of the requests that came at once a few are read ahead of the answers, never all, and answered in their order', async () => {
  const [here, there] = duplexPair();
  const source = slowSource();
  const served = serveRanges({ socket: there, keys: null }, source);
  using channel = new FrameChannel({ socket: here, keys: null });
  const packer = new PassThrough();
  using packing = new FrameChannel({ socket: packer, keys: null });
  for (let id = 0; id < REQUESTS; id += 1)
    packing.send(kinds.read, id, encodeRequest({ file: 0, offset: id * LENGTH, length: LENGTH }));
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
  expect(source.givenBack.size).toBe(REQUESTS);
});

test('the next answers are read while an earlier one is on its way; all memory comes back when the connection ends', async () => {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const here = connect((listener.address() as AddressInfo).port, '127.0.0.1');
  const [there]: Socket[] = await once(listener, 'connection');
  if (there === undefined) throw new Error('no connection');
  listener.close();
  const source = slowSource();
  const served = serveRanges({ socket: there, keys: null }, source);
  using channel = new FrameChannel({ socket: here, keys: null });
  for (let id = 0; id < MOST_AT_ONCE; id += 1) {
    const body = encodeRequest({ file: 0, offset: id * LENGTH, length: LENGTH });
    await new Promise<void>((resolve) => channel.send(kinds.read, id, body, resolve));
  }
  await source.counted;
  expect(source.begun()).toBe(MOST_AT_ONCE);
  there.destroy();
  for (let id = 0; id < MOST_AT_ONCE; id += 1) source.release();
  await served;
  await vi.waitFor(() => expect(source.givenBack.size).toBe(MOST_AT_ONCE));
  here.destroy();
});

test('a ping is answered while the disk is at a request that came before it', async () => {
  const [here, there] = duplexPair();
  const source = slowSource();
  const served = serveRanges({ socket: there, keys: null }, source);
  using channel = new FrameChannel({ socket: here, keys: null });
  const heard: number[] = [];
  here.on('data', (piece: Buffer) => {
    for (const frame of channel.receive(piece)) if (frame.kind === kinds.pong) heard.push(frame.id);
  });
  channel.send(kinds.read, 1, encodeRequest({ file: 0, offset: 0, length: LENGTH }));
  channel.send(kinds.ping, 7);
  await vi.waitFor(() => expect(heard).toContain(7));
  expect(source.begun()).toBe(1);
  source.release();
  here.destroy();
  await served;
});

test('what is longer than any request is not even received', async () => {
  const [here, there] = duplexPair();
  const served = serveRanges({ socket: there, keys: null }, slowSource());
  using channel = new FrameChannel({ socket: here, keys: null });
  channel.send(kinds.read, 1, Buffer.alloc(REQUEST_MAX_BYTES + 1));
  await expect(served).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' });
  expect(there.destroyed).toBe(true);
});
