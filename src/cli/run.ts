import { CommanderError } from 'commander';
import { CargoError } from '../api/cargo-error.ts';
import { buildOriginalProgram, isOriginal, normalized } from './original.ts';
import { type Format, reportError } from './output.ts';
import { buildProgram } from './program.ts';
import type { Terminal } from './terminal.ts';

/** Runs cargoctl with these arguments (without node and script); resolves with the exit code and never rejects. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const program = buildProgram(terminal);
    const startsWithCommand = program.commands.some((command) => command.name() === args[0]);
    const original = !startsWithCommand && isOriginal(args);
    await (original ? buildOriginalProgram(terminal) : program).parseAsync(original ? normalized(args) : args, {
      from: 'user',
    });
    return 0;
  } catch (error) {
    if (!(error instanceof CommanderError)) return reportError(error, askedFormat(args), terminal);
    if (error.exitCode === 0) return 0;
    return reportError(usageError(error), askedFormat(args), terminal);
  }
}

function usageError(error: CommanderError): CargoError {
  const message = error.code === 'commander.help' ? 'no command' : error.message.replace(/^error: /, '');
  return new CargoError('BAD_REQUEST', `${message}; \`cargoctl --help\` shows what there is`, { cause: error });
}

/** Read by hand, since what can't be parsed must be reported in the right format too. */
function askedFormat(args: readonly string[]): Format {
  const json = args.some((arg, index) => {
    return (
      ['-ojson', '--output=json'].includes(arg) ||
      (arg === 'json' && ['-o', '--output'].includes(args[index - 1] ?? ''))
    );
  });
  return json ? 'json' : 'table';
}
