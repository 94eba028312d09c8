import { setLink } from '../network.ts';
import { findMachine, loadLab } from '../state.ts';
import { type NameOption, nameOption, type Register } from './options.ts';

export const registerLink: Register = (program) => {
  const register = (command: string, description: string, state: 'up' | 'down') =>
    program
      .command(command)
      .description(description)
      .argument('<host>', 'h1, h2, …, or server')
      .addOption(nameOption())
      .action(async (host: string, { name }: NameOption) => await setLink(findMachine(loadLab(name), host), state));
  register('cut', "take a host's link, or the server's, away", 'down');
  register('heal', 'give the link back', 'up');
};
