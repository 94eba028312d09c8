import { Command, InvalidArgumentError, Option } from 'commander';
import { api } from '../api.ts';
import { parseDuration } from '../quantity.ts';
import { withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';

type Options = { uses?: number; ttl?: number };

export function tokenCommand(terminal: Terminal): Command {
  const create = new Command('create')
    .description('make a token with which agents join; it is printed once and kept nowhere')
    .addOption(new Option('--uses <n>', 'how many agents may join with it (default: 1)').argParser(parseUses))
    .addOption(
      new Option('--ttl <time>', 'how long it is good for, e.g. 30m or 24h (default: 24h)').argParser(parseDuration),
    )
    .action((options: Options, command: Command) =>
      withSession(command, terminal, async ({ client, output }) => {
        const created = await api.createToken(client, {
          ...(options.uses === undefined ? {} : { uses: options.uses }),
          ...(options.ttl === undefined ? {} : { ttlSeconds: options.ttl }),
        });
        output.result(created, () => `${created.token}\n`);
      }),
    );
  return new Command('token').description('tokens for agents that are to join').addCommand(create);
}

function parseUses(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('It must be a whole number, 1 or more.');
  return Number(text);
}
