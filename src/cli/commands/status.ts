import { Command } from 'commander';
import { CargoError } from '../../api/cargo-error.ts';
import { api } from '../api.ts';
import { allCopied, assertSucceeded, follow } from '../follow.ts';
import { migrationsTable, migrationText } from '../migration-text.ts';
import { watchProgress } from '../progress.ts';
import { type Session, withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export function statusCommand(terminal: Terminal): Command {
  return new Command('status')
    .description('show the newest migration of a container, or all migrations')
    .argument('[container]', 'name or id')
    .option('--watch', 'follow it until all data is there or it has ended')
    .action((container: string | undefined, options: { watch?: true }, command: Command) => {
      if (container === undefined && options.watch === true) {
        throw new CargoError('BAD_REQUEST', '--watch needs a container: cargoctl status CONTAINER --watch');
      }
      return withSession(command, terminal, (session) => {
        if (container === undefined) return showAll(session);
        return options.watch === true ? watch(session, container) : show(session, container);
      });
    });
}

async function showAll({ client, output }: Session): Promise<void> {
  const answer = await api.migrations(client);
  output.result(answer, () => migrationsTable(answer.migrations));
}

async function show({ client, output }: Session, container: string): Promise<void> {
  const migration = await api.latest(client, container);
  output.result(migration, () => migrationText(migration));
}

async function watch(session: Session, container: string): Promise<void> {
  const { client, output } = session;
  const progress = watchProgress(output.progressStream);
  try {
    const latest = await api.latest(client, container);
    const migration = await follow(session, latest, allCopied, (update) => progress.update(update));
    progress.end();
    output.result(migration, () => migrationText(migration));
    assertSucceeded(migration);
  } finally {
    progress.end();
  }
}
