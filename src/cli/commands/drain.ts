import { Command, InvalidArgumentError, Option } from 'commander';
import { CargoError } from '../../api/cargo-error.ts';
import type { ContainerSummary, Host } from '../../api/host.ts';
import type { Failure, Migration } from '../../api/migration.ts';
import type { Plan } from '../../api/plan.ts';
import { api, type MigrateRequest } from '../api.ts';
import { nameOf } from '../container-name.ts';
import { inDependencyOrder } from '../drain-order.ts';
import { allCopied, assertSucceeded, follow, standsStill } from '../follow.ts';
import { Interrupted } from '../interrupted.ts';
import { findingLine } from '../output.ts';
import { formatBytes, formatDuration, parseRate } from '../quantity.ts';
import { type Session, withSession } from '../session.ts';
import { printable, table } from '../table.ts';
import type { Terminal } from '../terminal.ts';

type Options = {
  to: string[];
  parallel: number;
  dryRun?: true;
  skipBlocked?: true;
  bwlimit?: number;
  force?: true;
};

/**
 * One container of the host: where it can go, and what came of it. `plan` is of the target that was chosen, or the last;
 * `refusal` is why there is none, as for a container that a migration holds.
 */
type Move = {
  container: string;
  plan: Plan | null;
  refusal: Failure | null;
  migration: Migration | null;
  error: Failure | null;
};

/** What is said of one container, and stands in the way of no other. */
const ofOneContainer: ReadonlySet<string> = new Set(['MIGRATION_EXISTS', 'CONTAINER_NOT_FOUND', 'BLOCKED']);

export function drainCommand(terminal: Terminal): Command {
  return new Command('drain')
    .description('move all containers off a host, what a Compose service depends on before it')
    .argument('<host>', 'name, id or address')
    .requiredOption('--to <host...>', 'where to: each container goes to the first of these that can take it')
    .addOption(new Option('--parallel <n>', 'so many at once').argParser(parseCount).default(1))
    .option('--dry-run', 'only say what would be done')
    .option('--skip-blocked', 'leave containers that can’t be moved, move the others')
    .addOption(new Option('--bwlimit <rate>', 'at most so many bytes per second, each').argParser(parseRate))
    .option('--force', 'go on when a container has to be killed to stop')
    .action((host: string, options: Options, command: Command) =>
      withSession(command, terminal, (session) => drain(session, host, options)),
    );
}

async function drain(session: Session, reference: string, options: Options): Promise<void> {
  const { client, output } = session;
  const host = await api.host(client, reference);
  for (const target of options.to) await api.host(client, target);
  const moves: Move[] = [];
  for (const container of await containersToMove(session, host)) {
    moves.push(await planMove(session, host, container, options));
  }
  const blocked = moves.filter(({ plan }) => plan?.blocked !== false);
  const refused = blocked.length > 0 && options.skipBlocked !== true;
  if (options.dryRun !== true && !refused) await moveAll(session, host, moves, options);
  output.result({ host: host.name, moves }, () => drainText(host, moves));
  const failed = moves.filter(({ error }) => error !== null);
  if (refused) throw allOrNothing(host, blocked.length);
  if (failed.length > 0) throw someFailed(host, failed);
}

/** All but what an earlier migration left there. */
async function containersToMove({ client }: Session, host: Host): Promise<ContainerSummary[]> {
  const [{ hosts }, { migrations }] = [await api.containers(client), await api.migrations(client)];
  const here = hosts.find((entry) => entry.host.id === host.id);
  if (here === undefined || here.stale) {
    throw new CargoError('AGENT_UNREACHABLE', `what runs on ${host.name} is not known: its agent does not answer`);
  }
  const left = new Set(migrations.filter(({ sourceId }) => sourceId === host.id).map(({ movedAs }) => movedAs));
  return inDependencyOrder(here.containers.filter((container) => !left.has(nameOf(container))));
}

/** The first target without a blocker. */
async function planMove(session: Session, host: Host, container: ContainerSummary, options: Options): Promise<Move> {
  const move: Move = { container: nameOf(container), plan: null, refusal: null, migration: null, error: null };
  for (const target of options.to) {
    try {
      move.plan = await api.plan(session.client, moveRequest(host, container.Id, target, options));
      if (!move.plan.blocked) return move;
    } catch (thrown) {
      if (!(thrown instanceof CargoError) || !ofOneContainer.has(thrown.code)) throw thrown;
      const { code, message, details } = thrown;
      move.refusal = { code, message, details };
    }
  }
  return move;
}

function moveRequest(host: Host, container: string, target: string, { bwlimit, force }: Options): MigrateRequest {
  const limits = { ...(bwlimit === undefined ? {} : { bwlimit }), ...(force === undefined ? {} : { force }) };
  return { container, source: host.id, target, ...limits };
}

/** So many at once as was asked for. After a failure none begins any more; those that have begun are waited for. */
async function moveAll(session: Session, host: Host, moves: readonly Move[], options: Options): Promise<void> {
  const waiting = moves.filter(({ plan }) => plan?.blocked === false);
  let hasFailed = false;
  const work = async (): Promise<void> => {
    for (let move = waiting.shift(); move !== undefined && !hasFailed; move = waiting.shift()) {
      await moveOne(session, host, move, options);
      if (move.error !== null) hasFailed = true;
    }
  };
  await Promise.all(Array.from({ length: options.parallel }, work));
}

async function moveOne(session: Session, host: Host, move: Move, options: Options): Promise<void> {
  const { client, output } = session;
  const target = move.plan?.target ?? '';
  try {
    output.note(`${move.container}: to ${target}`);
    const begun = await api.migrate(client, moveRequest(host, move.container, target, options));
    // Not done before all data is there: a host that is drained may be turned off.
    move.migration = await follow(session, begun, allCopied, (update) => {
      const isNew = update.phase !== move.migration?.phase;
      if (isNew && update.phase === 'hydrating') output.note(`${move.container}: runs on ${target}, its data follows`);
      move.migration = update;
    });
    assertSucceeded(move.migration);
    const { downtimeMs } = move.migration;
    output.note(
      `${move.container}: on ${target}${downtimeMs === null ? '' : `, downtime ${formatDuration(downtimeMs)}`}`,
    );
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    const { code, message, details } = CargoError.from(error);
    move.error = { code, message, details };
    output.note(`${move.container}: ${message} [${code}]`);
  }
}

function drainText(host: Host, moves: readonly Move[]): string {
  if (moves.length === 0) return `${printable(`there is nothing to move on ${host.name}`)}\n`;
  const rows = moves.map(({ container, plan, migration, error }) => [
    container,
    plan?.blocked === false ? plan.target : '-',
    plan === null ? '-' : formatBytes(plan.mounts.reduce((sum, { bytes }) => sum + bytes, 0)),
    resultText(plan, migration, error),
    migration === null || migration.downtimeMs === null ? '-' : formatDuration(migration.downtimeMs),
  ]);
  const reasons = moves.filter(({ plan }) => plan?.blocked !== false).flatMap(reasonsAgainst);
  return table(['CONTAINER', 'TO', 'DATA', 'RESULT', 'DOWNTIME'], rows) + reasons.join('');
}

function reasonsAgainst({ container, plan, refusal }: Move): string[] {
  const blockers = (plan?.findings ?? []).filter(({ level }) => level === 'blocker').map(findingLine);
  const refused = refusal === null ? [] : [`  ${refusal.message} [${refusal.code}]`];
  return [...blockers, ...refused].map((line) => `${printable(`${container}:${line}`)}\n`);
}

function resultText(plan: Plan | null, migration: Migration | null, error: Failure | null): string {
  if (error !== null) return error.code;
  if (migration !== null) return migration.phase;
  return plan?.blocked === false ? 'not begun' : 'blocked';
}

function allOrNothing({ name }: Host, count: number): CargoError {
  const what = count === 1 ? 'one container' : `${count} containers`;
  return new CargoError(
    'BLOCKED',
    `${what} on ${name} can't be moved as it is and nothing was moved; --skip-blocked moves the others`,
  );
}

function someFailed({ name }: Host, failed: readonly Move[]): CargoError {
  const isStopped = ({ migration }: Move): boolean => migration !== null && standsStill(migration);
  const names = (moves: readonly Move[]): string => moves.map(({ container }) => container).join(', ');
  const [stopped, stayed] = [failed.filter(isStopped), failed.filter((move) => !isStopped(move))];
  const what = [
    ...(stayed.length === 0 ? [] : [`${names(stayed)} could not be moved and stays on ${name}`]),
    ...(stopped.length === 0 ? [] : [`${names(stopped)} was stopped at the target (\`cargoctl status\` says why)`]),
    'what had begun was finished, nothing else was begun',
  ];
  return new CargoError('MIGRATION_FAILED', `${what.join('; ')}. Run the same again to go on`);
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 100) throw new InvalidArgumentError('a number from 1 to 100');
  return count;
}
