import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FrameAssembler } from '../../../../src/agent/volume/frame-assembler.ts';
import {
  decodeHeader,
  encodeHeader,
  FRAME_MAX_BYTES,
  type FrameHeader,
  frameKinds,
} from '../../../../src/agent/volume/frames.ts';

const header: fc.Arbitrary<FrameHeader> = fc.record({
  kind: fc.constantFrom(...Object.values(frameKinds)),
  opsLength: fc.integer({ min: 0, max: 40_000 }),
  dataLength: fc.integer({ min: 0, max: 40_000 }),
});

test('a header comes back as it was', () => {
  fc.assert(
    fc.property(header, (one) => {
      expect(decodeHeader(encodeHeader(one))).toEqual(one);
    }),
  );
});

test('a header that claims more than a frame may hold is refused', () => {
  const half = FRAME_MAX_BYTES / 2;
  expect(decodeHeader(encodeHeader({ kind: 7, opsLength: half, dataLength: half }))).not.toBeNull();
  expect(decodeHeader(encodeHeader({ kind: 7, opsLength: half, dataLength: half + 1 }))).toBeNull();
  expect(decodeHeader(Buffer.alloc(12, 0xff))).toBeNull();
});

test('frames are put together whatever pieces the socket hands out', () => {
  const pieceLengths = fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1 });
  fc.assert(
    fc.property(fc.array(header, { minLength: 1, maxLength: 6 }), pieceLengths, (headers, lengths) => {
      const stream = Buffer.concat(
        headers.flatMap((one, index) => [encodeHeader(one), Buffer.alloc(one.opsLength + one.dataLength, index + 1)]),
      );
      const assembler = new FrameAssembler(null);
      const received: FrameHeader[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn += 1) {
        const length = lengths[turn % lengths.length] ?? 1;
        assembler.push(stream.subarray(at, at + length), (frame) => {
          const body = Buffer.from(frame.buffer, 0, frame.header.opsLength + frame.header.dataLength);
          expect(body.equals(Buffer.alloc(body.length, received.length + 1))).toBe(true);
          received.push(frame.header);
          assembler.recycle(frame.buffer);
        });
        at += length;
      }
      expect(received).toEqual(headers);
    }),
    { numRuns: 50 },
  );
});
