import { Command, Option } from 'commander';
import type { ControlOptions, Migration } from '../../api/migration.ts';
import { api } from '../api.ts';
import { formatRate, parseLimit } from '../quantity.ts';
import { withSession } from '../session.ts';
import { printable } from '../table.ts';
import type { Terminal } from '../terminal.ts';

/** Of `set`; the others take none. */
type Options = { bwlimit: number | 'none' };

export function pauseCommand(terminal: Terminal): Command {
  return controlCommand('pause', terminal, pausedText, () => ({ paused: true })).description(
    'let the data that follows a container rest; what the container touches still comes',
  );
}

export function resumeCommand(terminal: Terminal): Command {
  return controlCommand('resume', terminal, resumedText, () => ({ paused: false })).description(
    'let the data that follows a container come again',
  );
}

export function setCommand(terminal: Terminal): Command {
  return controlCommand('set', terminal, limitText, ({ bwlimit }) => ({ bwlimit: bwlimit === 'none' ? null : bwlimit }))
    .description('change the bandwidth limit of a migration that is under way')
    .addOption(
      new Option('--bwlimit <rate>', 'at most so many bytes per second; K, M, G = 1024; `none` lifts the limit')
        .argParser(parseLimit)
        .makeOptionMandatory(),
    );
}

function controlCommand(
  name: string,
  terminal: Terminal,
  text: (migration: Migration) => string,
  toChange: (options: Options) => ControlOptions,
): Command {
  return new Command(name)
    .argument('<container>', 'name or id')
    .action((container: string, options: Options, command: Command) =>
      withSession(command, terminal, async ({ client, output }) => {
        const latest = await api.latest(client, container);
        const migration = await api.control(client, latest.id, toChange(options));
        output.result(migration, () => `${printable(text(migration))}\n`);
      }),
    );
}

function pausedText({ container, target, phase }: Migration): string {
  const when = phase === 'hydrating' ? 'rests' : `will rest once it runs on ${target}`;
  return `the data that follows ${container} ${when}; what it touches still comes`;
}

function resumedText({ container, target, phase }: Migration): string {
  return phase === 'hydrating'
    ? `the data that follows ${container} comes again`
    : `the data that follows ${container} will come as soon as it runs on ${target}`;
}

function limitText({ container, phase, bwlimit }: Migration): string {
  const limit = bwlimit === null ? 'without a limit' : `at ${formatRate(bwlimit)} at most`;
  return `${container} is copied ${limit}${phase === 'hydrating' ? '' : ', from the next round on'}`;
}
