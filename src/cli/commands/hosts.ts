import { Command } from 'commander';
import type { Host, RemovedHost } from '../../api/host.ts';
import { api } from '../api.ts';
import { withSession } from '../session.ts';
import { printable, table } from '../table.ts';
import type { Terminal } from '../terminal.ts';

export function hostsCommand(terminal: Terminal): Command {
  const list = (_options: unknown, command: Command): Promise<void> =>
    withSession(command, terminal, async ({ client, output }) => {
      const answer = await api.hosts(client);
      output.result(answer, () => hostsTable(answer.hosts));
    });
  return new Command('hosts')
    .description('list the registered hosts, or remove one')
    .action(list)
    .addCommand(new Command('list').description('the same').action(list))
    .addCommand(removeCommand(terminal));
}

function removeCommand(terminal: Terminal): Command {
  return new Command('rm')
    .description('take a host out of Cargo; its certificate is void from then on')
    .argument('<host>', 'name, id or address')
    .option('--force', 'undo what is moving from or to it, and give up what is still to be removed from it')
    .action((host: string, options: { force?: true }, command: Command) =>
      withSession(command, terminal, async ({ client, output }) => {
        const removed = await api.removeHost(client, host, options.force === true);
        output.result(removed, () => removedText(removed));
      }),
    );
}

function removedText({ host, kept }: RemovedHost): string {
  const left = kept.length === 0 ? '' : `; still on it, stopped: ${kept.join(', ')}`;
  return `${printable(`${host.name} is removed and its certificate is void${left}`)}\n`;
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
    certificateText(host),
  ]);
  const headings = [
    'HOST',
    'ID',
    'STATUS',
    'ADDRESS',
    'DOCKER',
    'STORAGE',
    'KERNEL',
    'ARCH',
    'LAST SEEN (UTC)',
    'CERTIFICATE UNTIL',
  ];
  return table(headings, rows);
}

function certificateText({ certificateEndsAt, renewalOverdue }: Host): string {
  if (certificateEndsAt === undefined) return '-';
  return `${certificateEndsAt.slice(0, 10)}${renewalOverdue === true ? ', not renewed: see its log' : ''}`;
}
