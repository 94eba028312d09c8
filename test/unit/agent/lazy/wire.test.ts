import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BodyMemory } from '../../../../src/agent/lazy/body-memory.ts';
import { FrameChannel, kinds } from '../../../../src/agent/lazy/wire.ts';

const BODY_BYTES = 100_000;

/** What a channel writes for these bodies, in one piece. */
async function written(bodies: readonly Buffer[], key: Buffer | null): Promise<Buffer> {
  const socket = new PassThrough();
  using channel = new FrameChannel({ socket, keys: key === null ? null : { send: key, receive: randomBytes(32) } });
  const flushed = bodies.map((body, id) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    channel.send(kinds.data, id, Buffer.from(body), resolve);
    return promise;
  });
  socket.end();
  const pieces: Buffer[] = [];
  socket.on('data', (piece) => pieces.push(piece));
  await Promise.all([once(socket, 'end'), ...flushed]);
  return Buffer.concat(pieces);
}

function reading(key: Buffer | null, memory?: BodyMemory): FrameChannel {
  const keys = key === null ? null : { send: randomBytes(32), receive: key };
  return new FrameChannel({ socket: new PassThrough(), keys }, memory === undefined ? {} : { memory });
}

test.each([['sealed', randomBytes(32)] as const, ['plain', null] as const])(
  'frames arrive whole however their bytes are cut, though the memory of each piece is used again: %s',
  async (_, key) => {
    const sizes = fc.array(fc.oneof(fc.nat(30), fc.nat(BODY_BYTES)), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1, max: 70_000 }), async (lengths, cut) => {
        const bodies = lengths.map((length) => randomBytes(length));
        const bytes = await written(bodies, key);
        const memory = new BodyMemory(BODY_BYTES, 2);
        using channel = reading(key, memory);
        const piece = Buffer.alloc(cut);
        let next = 0;
        for (let at = 0; at < bytes.length; at += cut) {
          const length = bytes.copy(piece, 0, at, Math.min(bytes.length, at + cut));
          for (const { kind, id, body } of channel.receive(piece.subarray(0, length))) {
            expect([kind, id]).toEqual([kinds.data, next]);
            expect(body.equals(bodies[next] ?? Buffer.alloc(0)), `body ${next}`).toBe(true);
            memory.give(body);
            next += 1;
          }
          piece.fill(0xff);
        }
        expect(next).toBe(bodies.length);
      }),
      { numRuns: 40 },
    );
  },
);

test('a sealed frame of which any bit was changed on the way is refused', async () => {
  const key = randomBytes(32);
  const bytes = await written([randomBytes(50)], key);
  // Not those of the length: where the frame ends is not known then.
  for (let at = 4; at < bytes.length; at += 1) {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    using channel = reading(key);
    expect(() => [...channel.receive(damaged)], `byte ${at}`).toThrow(
      expect.objectContaining({ code: 'PEER_UNREACHABLE' }),
    );
  }
  using untouched = reading(key);
  expect([...untouched.receive(bytes)]).toHaveLength(1);
});

test('memory that was given back is used again, only by one at a time', () => {
  const memory = new BodyMemory(BODY_BYTES, 1);
  const first = memory.take(50_000);
  const second = memory.take(60_000);
  expect(second.buffer).not.toBe(first.buffer);
  memory.give(first);
  expect(() => memory.give(first)).toThrow('twice');
  memory.give(second);
  expect(memory.take(70_000).buffer, 'the one that was kept').toBe(first.buffer);
  expect(memory.take(BODY_BYTES + 1)).toHaveLength(BODY_BYTES + 1);
});
