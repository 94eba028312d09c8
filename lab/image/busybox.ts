import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../run.ts';
import { hostTree, recipeKey } from '../tree.ts';
import type { Image } from './archive.ts';
import { layerOf } from './layer.ts';

/** The static busybox of the hosts' own Debian, alone. */
export async function busyboxImage(reference: string): Promise<Image> {
  const layer = await layerOf(`busybox-${recipeKey('busybox', '1')}`, async (tree) => {
    for (const folder of ['bin', 'etc', 'root', 'tmp', 'usr', 'var']) mkdirSync(join(tree, folder));
    const busybox = join(tree, 'bin/busybox');
    copyFileSync(join(await hostTree(), 'usr/bin/busybox'), busybox);
    const applets = (await run(busybox, ['--list'])).split('\n').filter((name) => name !== '' && name !== 'busybox');
    for (const name of applets) symlinkSync('busybox', join(tree, 'bin', name));
    writeFileSync(
      join(tree, 'etc/passwd'),
      'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
    );
    writeFileSync(join(tree, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
    return { tree };
  });
  return { reference, config: { Cmd: ['sh'], Env: ['PATH=/bin:/usr/bin'] }, layers: [layer] };
}
