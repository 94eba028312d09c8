import { type Command, InvalidArgumentError, Option } from 'commander';
import { LabName } from '../state.ts';

/** `--name` of every subcommand. */
export function nameOption(): Option {
  return new Option('--name <name>', 'which lab: up to 30 small letters, digits and dashes')
    .default('default')
    .argParser((text) => {
      const name = LabName.safeParse(text);
      if (!name.success) throw new InvalidArgumentError(name.error.issues.map(({ message }) => message).join(', '));
      return name.data;
    });
}

export type NameOption = { name: string };

/** One subcommand of cargo-lab: puts itself under the program. */
export type Register = (program: Command) => void;
