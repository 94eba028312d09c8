import { bootMachine } from '../boot.ts';
import { changeLab } from '../change.ts';
import { cutPower } from '../host.ts';
import { findHost } from '../state.ts';
import { type NameOption, nameOption, type Register } from './options.ts';

export const registerPower: Register = (program) => {
  program
    .command('kill')
    .description('cut the power of a host: what had not reached its disk is lost')
    .argument('<host>')
    .addOption(nameOption())
    .action(async (host: string, { name }: NameOption) => {
      await changeLab(name, async (lab) => await cutPower(lab, findHost(lab, host)));
    });
  program
    .command('boot')
    .description('give a host its power back: it starts from its disk')
    .argument('<host>')
    .addOption(nameOption())
    .action(async (host: string, { name }: NameOption) => {
      await changeLab(name, async (lab) => await bootMachine(lab, findHost(lab, host)));
    });
};
