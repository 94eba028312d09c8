import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { submitsReadsOnly } from '../../../src/agent/lazy/calls.ts';

const PREAD = 0;
const PWRITE = 1;
const FDSYNC = 3;
const PREADV = 7;

/** A process with iocbs of these opcodes in its memory, as io_submit(2) takes them. */
async function submitter(opcodes: readonly number[]) {
  const program = `
import ctypes, struct, sys
blocks = [ctypes.create_string_buffer(struct.pack('QIIHhIQQqQII', 0, 0, 0, int(o), 0, 5, 0, 8192, 4096, 0, 0, 0)) for o in sys.argv[1:]]
pointers = (ctypes.c_void_p * len(blocks))(*[ctypes.addressof(b) for b in blocks])
print(ctypes.addressof(pointers), flush=True)
sys.stdin.read()`;
  const child = spawn('python3', ['-c', program, ...opcodes.map(String)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [address] = await once(child.stdout, 'data');
  return {
    pid: child.pid ?? 0,
    pointers: Number(String(address)),
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await once(child, 'close');
    },
  };
}

const cases: { name: string; opcodes: number[]; isReads: boolean }[] = [
  { name: 'one read', opcodes: [PREAD], isReads: true },
  { name: 'reads of both kinds', opcodes: [PREAD, PREADV, PREAD], isReads: true },
  { name: 'a write', opcodes: [PWRITE], isReads: false },
  { name: 'a write behind reads', opcodes: [PREAD, PREAD, PWRITE], isReads: false },
  { name: 'a sync', opcodes: [FDSYNC], isReads: false },
];
for (const { name, opcodes, isReads } of cases) {
  test(`io_submit of ${name} is taken for ${isReads ? 'reads' : 'writes'}`, async () => {
    await using process = await submitter(opcodes);
    expect(submitsReadsOnly(process.pid, [0, opcodes.length, process.pointers])).toBe(isReads);
  });
}

test('what can’t be looked at is taken for writes', async () => {
  await using process = await submitter([PREAD]);
  const { pid, pointers } = process;
  expect(submitsReadsOnly(pid, [0, 1, pointers])).toBe(true);
  expect(submitsReadsOnly(pid, [0, 1, 8])).toBe(false);
  expect(submitsReadsOnly(pid, [0, 0, pointers])).toBe(false);
  expect(submitsReadsOnly(pid, [0, 2 ** 40, pointers])).toBe(false);
  expect(submitsReadsOnly(2 ** 22 + 5, [0, 1, pointers])).toBe(false);
});
