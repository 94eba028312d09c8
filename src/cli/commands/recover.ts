import { Command, Option } from 'commander';
import { CargoError } from '../../api/cargo-error.ts';
import type { Migration, Side } from '../../api/migration.ts';
import { api } from '../api.ts';
import { ask } from '../ask.ts';
import { withSession } from '../session.ts';
import { printable } from '../table.ts';
import type { Terminal } from '../terminal.ts';

type Options = { at: Side; acceptLoss?: true; yes?: true };

export function recoverCommand(terminal: Terminal): Command {
  return new Command('recover')
    .description('when source or target of a migration is lost for good: let the container go on at the other one')
    .argument('<container>', 'name or id')
    .addOption(
      new Option('--at <side>', 'side that goes on; the other host is given up for this container')
        .choices(['source', 'target'])
        .makeOptionMandatory(),
    )
    .option('--accept-loss', 'do it; without this option only what would be lost is listed')
    .option('--yes', 'do not ask on a terminal')
    .action((container: string, options: Options, command: Command) =>
      withSession(command, terminal, async ({ client, output }) => {
        const latest = await api.latest(client, container);
        if (options.acceptLoss === true && options.yes !== true) await confirm(terminal, latest, options.at);
        const migration = await api.recover(client, latest.id, options.at, options.acceptLoss === true);
        output.result(migration, () => recoveredText(migration));
      }),
    );
}

/** Where nobody can be asked, in a script, --accept-loss itself is the word. */
async function confirm(terminal: Terminal, { container, source, target }: Migration, at: Side): Promise<void> {
  if (terminal.stdin.isTTY !== true) return;
  const [home, lost] = at === 'source' ? [source, target] : [target, source];
  const question = `${container} goes on at ${home}, and ${lost} is given up. Is ${lost} off, or cut off from all clients? (yes/no) `;
  if ((await ask(terminal, printable(question))) === 'yes') return;
  throw new CargoError('CANCELLED', 'nothing was changed');
}

function recoveredText({ container, source, target, recovery, activity }: Migration): string {
  const home = recovery?.at === 'target' ? target : source;
  const lines = [
    `${container} goes on at ${home} (${activity})`,
    ...(recovery?.losses ?? []).map((loss) => `  lost: ${loss}`),
  ];
  return lines.map((line) => `${printable(line)}\n`).join('');
}
