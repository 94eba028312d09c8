import { Command } from 'commander';
import { CargoError } from '../../api/cargo-error.ts';
import type { Migration } from '../../api/migration.ts';
import { api } from '../api.ts';
import { follow, running } from '../follow.ts';
import { withSession } from '../session.ts';
import { printable } from '../table.ts';
import type { Terminal } from '../terminal.ts';

export function cancelCommand(terminal: Terminal): Command {
  return new Command('cancel')
    .description('stop a migration before the container runs at the target; it goes on at the source')
    .argument('<container>', 'name or id')
    .action((container: string, _options: unknown, command: Command) =>
      withSession(command, terminal, async (session) => {
        const latest = await api.latest(session.client, container);
        const cancelled = await api.cancel(session.client, latest.id);
        const migration = await follow(session, cancelled, running, () => undefined);
        refuseTooLate(migration);
        session.output.result(migration, () => `${printable(`${migration.container} stays on ${migration.source}`)}\n`);
      }),
    );
}

function refuseTooLate({ phase, container, source, target }: Migration): void {
  if (!running.includes(phase)) return;
  throw new CargoError(
    'WRONG_PHASE',
    `too late to cancel: ${container} runs on ${target}; \`cargoctl migrate ${container} --to ${source}\` after a failover moves it back`,
  );
}
