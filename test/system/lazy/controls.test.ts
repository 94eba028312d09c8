import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Image } from './images.ts';
import { oneTree, operationsFor } from './lockstep-tree.ts';
import { type Patch, patched } from './patches.ts';

const OPERATIONS = 900;
const TRIES = 5;
let image: Image;
beforeAll(() => {
  image = new Image('ext4', 2048);
});
afterAll(() => image[Symbol.dispose]());

/** Writes bits into the file, and not into memory: what the next hydrator would believe. */
const noteEarly = `note({ file, chunks }) {
    const start = this.#table.start(file);
    const [from, end] = bytesOf(start, chunks);
    const bytes = this.#table.here.bytes(from, end);
    setBits(bytes, from, start, chunks);
    writeSync(this.#hereFd, bytes, 0, bytes.length, from);
  }

  /** The content of these chunks has been written. */`;

const controls: [string, Patch[]][] = [
  [
    'marks before anybody may use the tree',
    [{ module: 'hydrator.ts', from: 'markInode(this.#o.kept.group, fd);', to: 'void markInode;' }],
  ],
  [
    'the whole file, not the range, before a mapping',
    [
      {
        module: 'demand.ts',
        from: 'if (number === calls.mmap) return',
        to: 'if (number === calls.mmap) return reads;\n  if (number === -2) return',
      },
    ],
  ],
  [
    'the barrier before truncations and moves',
    [{ module: 'demand.ts', from: "{ need: 'whole', durable: true }", to: "{ need: 'nothing', durable: false }" }],
  ],
  [
    'nothing written at or above the size of the source',
    [
      {
        module: 'fetcher.ts',
        from: 'while (!(await this.#store(file, offset, bytes)))',
        to: 'const padded = Buffer.concat([bytes, Buffer.alloc(CHUNK_BYTES)]);\n    while (!(await this.#store(file, offset, padded)))',
      },
    ],
  ],
  [
    'content first, then the journal',
    [
      {
        module: 'fetcher.ts',
        from: 'const bytes = await readVerified(',
        to: 'this.#o.journal.note({ file, chunks });\n    const bytes = await readVerified(',
      },
      { module: 'journal.ts', from: '/** The content of these chunks has been written. */', to: noteEarly },
    ],
  ],
  ['the capabilities put back', [{ module: 'kept-metadata.ts', from: 'setXattr(fd,', to: 'void (fd,' }]],
];

/** Half a minute for each time that is awaited in vain: in the long mode only. */
const slow: typeof controls = [
  ['the modification time put back', [{ module: 'kept-metadata.ts', from: 'setMtime(fd,', to: 'void (fd,' }]],
];

test.each(process.env['CARGO_LOCKSTEP_OPERATIONS'] === undefined ? controls : [...controls, ...slow])(
  'control: without %s, the lockstep test finds a difference',
  async (_, patches) => {
    for (const [name, value] of Object.entries(patched(...patches))) vi.stubEnv(name, value);
    try {
      const found: string[] = [];
      // What an operation meets depends on the moment, too.
      for (let seed = 1; seed <= TRIES && found.length === 0; seed += 1) {
        const [tree = []] = operationsFor(1, OPERATIONS, seed);
        found.push(...(await oneTree(image.path, tree)).wrong);
      }
      console.log(found[0]);
      expect(found).not.toEqual([]);
    } finally {
      vi.unstubAllEnvs();
    }
  },
);
