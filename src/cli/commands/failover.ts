import { Command } from 'commander';
import { CargoError } from '../../api/cargo-error.ts';
import type { Migration } from '../../api/migration.ts';
import { api } from '../api.ts';
import type { Client } from '../client.ts';
import { allCopied, assertSucceeded, follow } from '../follow.ts';
import { Interrupted } from '../interrupted.ts';
import { briefProgress } from '../progress.ts';
import { type Session, withSession } from '../session.ts';
import { printable } from '../table.ts';
import type { Terminal } from '../terminal.ts';

type Options = { to?: string; wait?: true; cleanup?: true };

export function failoverCommand(terminal: Terminal): Command {
  return new Command('failover')
    .description('complete a migration: the target goes on alone, the source is let go')
    .argument('<container>', 'name or id')
    .option('--to <host>', 'host it was moved to, as a check')
    .option('--wait', 'wait until all data is there; without it that is an error while data follows')
    .option('--cleanup', 'remove the stopped container and its volumes from the source')
    .action((container: string, options: Options, command: Command) =>
      withSession(command, terminal, async (session) => {
        const { client, output } = session;
        const latest = await api.latest(client, container);
        if (options.to !== undefined) await refuseOtherTarget(client, latest, options.to);
        if (options.wait === true) await untilCopied(session, latest);
        const migration = await api.failover(client, latest.id, options.cleanup === true);
        output.result(migration, () => completedText(migration));
      }),
    );
}

async function untilCopied(session: Session, latest: Migration): Promise<void> {
  const progress = briefProgress(session.output.progressStream);
  try {
    assertSucceeded(await follow(session, latest, allCopied, (update) => progress.update(update)));
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    throw new Interrupted(`no failover was done; ${error.message}`);
  } finally {
    progress.end();
  }
}

/** The server knows hosts by name, id and address: it says which one is meant. */
async function refuseOtherTarget(
  client: Client,
  { container, target, targetId }: Migration,
  to: string,
): Promise<void> {
  if (to === target || to === targetId) return;
  const host = await api.host(client, to);
  if (host.id === targetId) return;
  throw new CargoError('BAD_REQUEST', `${container} was moved to ${target}, not to ${host.name}: say --to ${target}`);
}

function completedText({ container, target, source, movedAs, cleanedUp }: Migration): string {
  const kept = movedAs === null ? '' : `; ${movedAs} is still on ${source}`;
  const rest = cleanedUp ? `; nothing of it is left on ${source}` : kept;
  return `${printable(`${container} is complete on ${target}${rest}`)}\n`;
}
