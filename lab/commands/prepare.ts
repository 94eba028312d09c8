import { Argument } from 'commander';
import { buildImage, type ImageName, imageNames } from '../image/load.ts';
import { hostTree } from '../tree.ts';
import type { Register } from './options.ts';

export const registerPrepare: Register = (program) => {
  program
    .command('prepare')
    .description("build the hosts' base system, and these images, into the cache where they are missing")
    .addArgument(new Argument('[images...]').choices(imageNames))
    .action(async (images: ImageName[]) => {
      await hostTree();
      for (const image of images) await buildImage(image, 'lab');
    });
};
