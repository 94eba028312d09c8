import { Command } from 'commander';
import { version } from '../../version.ts';
import { Output } from '../output.ts';
import type { GlobalOptions } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export function versionCommand(terminal: Terminal): Command {
  return new Command('version')
    .description('print the version of cargoctl')
    .action((_options: unknown, command: Command) => {
      const { output } = command.optsWithGlobals<GlobalOptions>();
      new Output(output, terminal).result({ version }, () => `${version}\n`);
    });
}
