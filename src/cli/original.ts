import { Command } from 'commander';
import { CargoError } from '../api/cargo-error.ts';
import { originalApi } from './api.ts';
import { allCopied } from './follow.ts';
import { Interrupted } from './interrupted.ts';
import { originalList, originalStatus } from './original-tables.ts';
import { settle, withGlobalOptions } from './program.ts';
import { type GlobalOptions, type Session, withSession } from './session.ts';
import type { Terminal } from './terminal.ts';

const actions = ['list', 'migrate', 'status', 'failover'] as const;
type Action = (typeof actions)[number];
type Options = GlobalOptions &
  Partial<Record<Action, true>> & { source?: string; container?: string; target?: string; rootfs?: true };

/** The arguments are spelled as in the 2015 guide: the action is an option, with one dash once. */
export function isOriginal(args: readonly string[]): boolean {
  return args.some((arg) => arg === '-l' || actions.some((action) => arg === `--${action}` || arg === `-${action}`));
}

/** `-migrate` as the guide shows it, in the spelling that a parser of options takes. */
export function normalized(args: readonly string[]): string[] {
  return args.map((arg) => (actions.some((action) => arg === `-${action}`) ? `-${arg}` : arg));
}

export function buildOriginalProgram(terminal: Terminal): Command {
  const program = withGlobalOptions(new Command('cargoctl'))
    .usage('--list | --migrate … | --status … | --failover …')
    .description('The spellings of 2015. `cargoctl --help` shows the commands of today.')
    .option('-l, --list', 'list the containers of all hosts')
    .option('--migrate', 'move --container from --source to --target')
    .option('--status', 'show how far the copy of --container is')
    .option('--failover', 'complete the migration of --container to --target')
    .option('--source <host>')
    .option('--container <container>')
    .option('--target <host>')
    .option('--rootfs', "take the container's writable layer along")
    .action((options: Options, command: Command) => {
      const action = theAction(options);
      return withSession(command, terminal, (session) => handlers[action](session, options));
    });
  return settle(program, terminal);
}

const handlers: Record<Action, (session: Session, options: Options) => Promise<void>> = {
  async list({ client, output }) {
    const answer = await originalApi.list(client);
    output.result(answer, () => originalList(answer));
  },
  async migrate({ client, output, signal }, options) {
    const request = {
      source: needed(options, 'source'),
      target: needed(options, 'target'),
      container: needed(options, 'container'),
      rootfs: options.rootfs === true,
    };
    try {
      const migration = await originalApi.migrate(client, request);
      const lazy = allCopied.includes(migration.phase) ? '' : 'Lazy copy is in progress.\n';
      output.result(migration, () => `Container Migrated successfully.\n${lazy}`);
    } catch (error) {
      if (!signal.aborted) throw error;
      const { container } = request;
      throw new Interrupted(
        `a migration of ${container} that has begun goes on by itself: see \`cargoctl status ${container}\``,
      );
    }
  },
  async status({ client, output }, options) {
    const container = needed(options, 'container');
    const replication = await originalApi.replication(client, container);
    output.result(replication, () => originalStatus(container, replication));
  },
  async failover({ client, output }, options) {
    const answer = await originalApi.failover(client, needed(options, 'target'), needed(options, 'container'));
    output.result(answer, () => 'Container failover successfully.\n');
  },
};

function theAction(options: Options): Action {
  const [action, other] = actions.filter((name) => options[name] === true);
  if (action !== undefined && other === undefined) return action;
  throw new CargoError('BAD_REQUEST', 'say one of --list, --migrate, --status and --failover');
}

function needed(options: Options, name: 'source' | 'container' | 'target'): string {
  const value = options[name];
  if (value === undefined) throw new CargoError('BAD_REQUEST', `--${name} is missing`);
  return value;
}
