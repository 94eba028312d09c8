import { Argument, Command } from 'commander';
import { type CommandWords, completionScript, shells } from '../completion-script.ts';
import type { Terminal } from '../terminal.ts';

export function completionCommand(terminal: Terminal): Command {
  return new Command('completion')
    .description('print a completion script, e.g. for `source <(cargoctl completion bash)`')
    .addArgument(new Argument('<shell>').choices(shells))
    .action((shell: (typeof shells)[number], _options: unknown, command: Command) => {
      terminal.stdout.write(completionScript(shell, wordsOf(command.parent ?? command)));
    });
}

/** What can be typed after cargoctl, read from the program itself. */
function wordsOf(program: Command): CommandWords[] {
  const everywhere = optionsOf(program);
  return program.commands.map((command) => ({
    name: command.name(),
    description: command.description(),
    words: [
      ...command.commands.map((inner) => inner.name()),
      ...command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
      ...[command, ...command.commands].flatMap(optionsOf),
      ...everywhere,
    ],
  }));
}

function optionsOf(command: Command): string[] {
  return command.options.flatMap(({ long }) => (typeof long === 'string' ? [long] : []));
}
