import { Argument } from 'commander';
import { type ImageName, imageNames, loadImage } from '../image/load.ts';
import { findHost, loadLab } from '../state.ts';
import { type NameOption, nameOption, type Register } from './options.ts';

export const registerImage: Register = (program) => {
  program
    .command('image')
    .description("build an image from Debian's packages, or take it from the cache, and load it into a host")
    .addArgument(new Argument('<image>').choices(imageNames))
    .requiredOption('--host <host>', 'the host that gets it')
    .option('--tag <tag>', 'tag of the image', 'lab')
    .addOption(nameOption())
    .action(async (image: ImageName, options: NameOption & { host: string; tag: string }) => {
      const lab = loadLab(options.name);
      console.log(await loadImage(lab, findHost(lab, options.host), image, options.tag));
    });
};
