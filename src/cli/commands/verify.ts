import { Command } from 'commander';
import { CargoError } from '../../api/cargo-error.ts';
import type { Migration, Verification } from '../../api/migration.ts';
import { api } from '../api.ts';
import { askUntil } from '../follow.ts';
import { Interrupted } from '../interrupted.ts';
import { verificationText } from '../migration-text.ts';
import { failureOf } from '../output.ts';
import { type Session, withSession } from '../session.ts';
import { printable } from '../table.ts';
import type { Terminal } from '../terminal.ts';

export function verifyCommand(terminal: Terminal): Command {
  return new Command('verify')
    .description('compare the data at the target with the checksums of what the source sent; the container may run')
    .argument('<container>', 'name or id')
    .option('--detach', 'return at once; `status` shows the outcome')
    .action((container: string, options: { detach?: true }, command: Command) =>
      withSession(command, terminal, (session) => verify(session, container, options.detach === true)),
    );
}

async function verify(session: Session, container: string, detach: boolean): Promise<void> {
  const { client, output } = session;
  const latest = await api.latest(client, container);
  const begun = await api.verify(client, latest.id);
  const migration = detach ? begun : await untilVerified(session, begun);
  const { verification } = migration;
  if (verification === null)
    throw new CargoError('PROTOCOL_ERROR', 'the server does not tell how the verification goes');
  output.result(migration, () => `${printable(`${migration.container}: ${verificationText(verification)}`)}\n`);
  if (!detach) assertPassed(migration, verification);
}

async function untilVerified(session: Session, begun: Migration): Promise<Migration> {
  const hasEnded = ({ verification }: Migration): boolean => verification?.state !== 'running';
  try {
    return await askUntil(session, begun, hasEnded, () => undefined);
  } catch (error) {
    if (!session.signal.aborted) throw error;
    throw new Interrupted(
      `the verification goes on by itself: \`cargoctl status ${begun.container}\` shows its outcome`,
    );
  }
}

function assertPassed({ container, target }: Migration, { state, differences, differing, error }: Verification): void {
  if (state === 'passed') return;
  if (error !== null) throw failureOf(error);
  const entries = differences === 1 ? 'one entry' : `${differences} entries`;
  const verb = differences === 1 ? 'differs' : 'differ';
  const message = `${entries} of ${container} on ${target} ${verb} from what the source sent: ${differing.join(', ')}. Don't fail over: the source still has the data`;
  throw new CargoError('CHECKSUM_MISMATCH', message);
}
