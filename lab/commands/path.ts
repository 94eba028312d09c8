import { hostRoot, requireInit } from '../enter.ts';
import { findHost, loadLab } from '../state.ts';
import { type NameOption, nameOption, type Register } from './options.ts';

export const registerPath: Register = (program) => {
  program
    .command('path')
    .description("print where the host's file system, as it sees it, is seen from the machine")
    .argument('<host>')
    .addOption(nameOption())
    .action((hostName: string, { name }: NameOption) => {
      const lab = loadLab(name);
      console.log(hostRoot(requireInit(lab, findHost(lab, hostName))));
    });
};
