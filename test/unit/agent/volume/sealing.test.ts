import { randomBytes } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { FrameAssembler } from '../../../../src/agent/volume/frame-assembler.ts';
import { FrameOutlet } from '../../../../src/agent/volume/frame-outlet.ts';
import { decodeHeader, frameKinds, HEADER_BYTES } from '../../../../src/agent/volume/frames.ts';
import { SEAL_BYTES, Sealer, Unsealer } from '../../../../src/agent/volume/sealing.ts';

const bodies = ['first', 'second', 'third', ''];

/** What goes over the wire for frames with these bodies, frame by frame. */
async function wire(key: Uint8Array | null): Promise<Buffer[]> {
  const socket = new PassThrough({ highWaterMark: 1 << 20 });
  const outlet = new FrameOutlet(socket, key === null ? null : new Sealer(key), null);
  for (const body of bodies) {
    const bytes = new Uint8Array(Buffer.from(`....${body}`)).slice();
    await outlet.send({ kind: frameKinds.ops, opsLength: 4, dataLength: body.length }, bytes.buffer, 4);
  }
  const stream: Buffer = socket.read();
  const frames: Buffer[] = [];
  for (let at = 0; at < stream.length; ) {
    const header = decodeHeader(stream.subarray(at, at + HEADER_BYTES));
    if (header === null) throw new Error('no frame');
    const length = HEADER_BYTES + header.opsLength + header.dataLength + (key === null ? 0 : SEAL_BYTES);
    frames.push(stream.subarray(at, at + length));
    at += length;
  }
  return frames;
}

/** The bodies that a receiver takes for true. */
function received(frames: readonly Buffer[], key: Uint8Array | null): string[] {
  const assembler = new FrameAssembler(key === null ? null : new Unsealer(key));
  const taken: string[] = [];
  assembler.push(Buffer.concat(frames), ({ header, buffer }) => {
    const body = Buffer.from(buffer, header.opsLength, header.dataLength).toString();
    taken.push(header.kind === frameKinds.ops ? body : `${header.kind} ${body}`);
  });
  return taken;
}

const flip = (frame: Buffer | undefined, at: number): Buffer => {
  const changed = Buffer.from(frame ?? Buffer.alloc(0));
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
};
const pick = (frames: readonly Buffer[], ...order: number[]): Buffer[] => order.flatMap((index) => frames[index] ?? []);

const key = randomBytes(32);
const frames = await wire(key);
const attacks: [string, (frames: Buffer[]) => Buffer[]][] = [
  ['changes a byte of data', (f) => [...pick(f, 0), flip(f[1], HEADER_BYTES + 5), ...pick(f, 2, 3)]],
  ['changes the kind in a header', (f) => [...pick(f, 0), flip(f[1], 0), ...pick(f, 2, 3)]],
  ['repeats a frame', (f) => pick(f, 0, 0, 1, 2, 3)],
  ['leaves a frame out', (f) => pick(f, 0, 2, 3)],
  ['swaps two frames', (f) => pick(f, 1, 0, 2, 3)],
  ['brings a frame forward from the end', (f) => pick(f, 0, 3, 1, 2)],
];

test('frames arrive as they were sent, and nobody on the way can read them', async () => {
  expect(received(frames, key)).toEqual(bodies);
  expect(Buffer.concat(frames).includes('second')).toBe(false);
  expect(Buffer.concat(await wire(null)).includes('second')).toBe(true);
});

test.each(attacks)('who %s on the way is noticed', async (_what, attack) => {
  expect(() => received(attack([...frames]), key)).toThrow(expect.objectContaining({ code: 'PEER_UNREACHABLE' }));
});
test.each(attacks)('control: without seals, who %s is believed', async (_what, attack) => {
  expect(received(attack(await wire(null)), null)).not.toEqual(bodies);
});

test('frames of another connection, or sent back to who sealed them, do not open', () => {
  expect(() => received(frames, randomBytes(32))).toThrow(expect.objectContaining({ code: 'PEER_UNREACHABLE' }));
});

test('a changed seal does not open', () => {
  const [first = Buffer.alloc(0)] = frames;
  for (let at = first.length - SEAL_BYTES; at < first.length; at += 1) {
    expect(() => received([flip(first, at)], key)).toThrow(expect.objectContaining({ code: 'PEER_UNREACHABLE' }));
  }
});
