import { Command, Option } from 'commander';
import type { Migration } from '../../api/migration.ts';
import { api, type MigrateRequest } from '../api.ts';
import type { Client } from '../client.ts';
import { allCopied, assertSucceeded, follow, running } from '../follow.ts';
import { Interrupted } from '../interrupted.ts';
import { arrivalText } from '../migration-text.ts';
import { briefProgress, watchProgress } from '../progress.ts';
import { type Session, withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { addMoveOptions, type MoveOptions, moveRequest } from './migrate-options.ts';

type Options = MoveOptions & { watch?: true; wait?: true; detach?: true };

export function migrateCommand(terminal: Terminal): Command {
  return addMoveOptions(new Command('migrate'))
    .description('move a container with its data to another host; returns once it runs there, though data may follow')
    .option('--watch', 'show the progress meanwhile')
    .option('--wait', 'return once all its data is there too')
    .addOption(new Option('--detach', 'return at once').conflicts(['watch', 'wait']))
    .action((container: string, options: Options, command: Command) =>
      withSession(command, terminal, (session) => migrate(session, moveRequest(container, options), options)),
    );
}

async function migrate(session: Session, request: MigrateRequest, options: Options): Promise<void> {
  const { client, output } = session;
  const begun = await begin(client, request);
  if (options.detach === true) {
    const text = `${begun.container} is being moved to ${begun.target}: \`cargoctl status ${begun.container} --watch\`\n`;
    output.result(begun, () => text);
    return;
  }
  const progress = (options.watch === true ? watchProgress : briefProgress)(output.progressStream);
  try {
    const phases = options.wait === true ? allCopied : running;
    const migration = await follow(session, begun, phases, (update) => progress.update(update));
    progress.end();
    assertSucceeded(migration);
    output.result(migration, () => arrivalText(migration));
  } finally {
    progress.end();
  }
}

async function begin(client: Client, request: MigrateRequest): Promise<Migration> {
  try {
    return await api.migrate(client, request);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    throw new Interrupted(`interrupted; \`cargoctl status ${request.container}\` says whether a migration has begun`);
  }
}
