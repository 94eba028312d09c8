import { Argument, Command } from 'commander';
import type { Host } from '../../api/host.ts';
import { api } from '../api.ts';
import { withSession } from '../session.ts';
import { table } from '../table.ts';
import type { Terminal } from '../terminal.ts';

export function hostsCommand(terminal: Terminal): Command {
  return new Command('hosts')
    .description('list the registered hosts')
    .addArgument(new Argument('[list]', 'the same').choices(['list']))
    .action((_list: unknown, _options: unknown, command: Command) =>
      withSession(command, terminal, async ({ client, output }) => {
        const answer = await api.hosts(client);
        output.result(answer, () => hostsTable(answer.hosts));
      }),
    );
}

export function hostsTable(hosts: readonly Host[]): string {
  const sorted = hosts.toSorted((a, b) => a.name.localeCompare(b.name));
  const rows = sorted.map((host) => [
    host.name,
    host.id,
    host.status,
    host.dataAddress,
    host.dockerVersion ?? '-',
    host.storageDriver ?? '-',
    host.kernel,
    host.architecture,
    host.lastSeenAt.slice(0, 19).replace('T', ' '),
  ]);
  const headings = ['HOST', 'ID', 'STATUS', 'ADDRESS', 'DOCKER', 'STORAGE', 'KERNEL', 'ARCH', 'LAST SEEN (UTC)'];
  return table(headings, rows);
}
