import { downLab } from '../down.ts';
import { type NameOption, nameOption, type Register } from './options.ts';

export const registerDown: Register = (program) => {
  program
    .command('down')
    .description('remove all of the lab, also after an interrupted `up`')
    .addOption(nameOption())
    .action(async ({ name }: NameOption) => await downLab(name));
};
