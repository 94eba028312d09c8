import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { run } from '../run.ts';
import { cached } from '../tree.ts';

/** One layer of an image: an uncompressed tar in the cache, and its digest as image configurations name it. */
export type Layer = { tar: string; diffId: string };

/**
 * A layer from the cache, or made of the folder that `fill` fills. With `only`, of these paths of another tree.
 * `key` names everything that the content depends on.
 */
export async function layerOf(
  key: string,
  fill: (tree: string) => Promise<{ tree: string; only?: readonly string[] }>,
): Promise<Layer> {
  const folder = await cached(`layer-${key}`, async (target, lockFd) => {
    mkdirSync(join(target, 'tree'), { recursive: true });
    const { tree, only } = await fill(join(target, 'tree'));
    const tar = join(target, 'layer.tar');
    const selection =
      only === undefined ? ['.'] : ['--no-recursion', '--verbatim-files-from', '--null', '--files-from=-'];
    await run(
      'tar',
      ['--create', '--numeric-owner', '--xattrs', `--file=${tar}`, `--directory=${tree}`, ...selection],
      {
        inherit: [lockFd],
        timeoutMs: 300_000,
        ...(only === undefined ? {} : { input: only.map((path) => `${path}\0`).join('') }),
      },
    );
    const hash = createHash('sha256');
    await pipeline(createReadStream(tar), hash);
    writeFileSync(join(target, 'diff-id'), `sha256:${hash.digest('hex')}`);
    rmSync(join(target, 'tree'), { recursive: true });
  });
  return { tar: join(folder, 'layer.tar'), diffId: readFileSync(join(folder, 'diff-id'), 'utf8') };
}
