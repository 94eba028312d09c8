import { execInHost } from '../exec.ts';
import { findHost, loadLab } from '../state.ts';
import { type NameOption, nameOption, type Register } from './options.ts';

export const registerExec: Register = (program) => {
  program
    .command('exec')
    .description('run a command in a host: exec h1 -- docker ps')
    .argument('<host>')
    .argument('<command...>')
    .addOption(nameOption())
    .action(async (hostName: string, command: string[], { name }: NameOption) => {
      const lab = loadLab(name);
      process.exitCode = await execInHost(lab, findHost(lab, hostName), command);
    });
};
