import { Command } from 'commander';
import { configPath, removeConfig } from '../config-file.ts';
import { Output } from '../output.ts';
import type { GlobalOptions } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export function logoutCommand(terminal: Terminal): Command {
  return new Command('logout')
    .description('forget what `cargoctl login` kept')
    .action(async (_options: unknown, command: Command) => {
      const { output } = command.optsWithGlobals<GlobalOptions>();
      const path = configPath(terminal.env);
      const removed = await removeConfig(path);
      new Output(output, terminal).result({ removed }, () =>
        removed ? `${path} removed\n` : 'nobody was logged in\n',
      );
    });
}
