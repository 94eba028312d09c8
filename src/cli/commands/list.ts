import { Command } from 'commander';
import type { ContainerSummary, HostContainers } from '../../api/host.ts';
import { api } from '../api.ts';
import { nameOf } from '../container-name.ts';
import { withSession } from '../session.ts';
import { table } from '../table.ts';
import type { Terminal } from '../terminal.ts';

export function listCommand(terminal: Terminal): Command {
  return new Command('list')
    .description('list the containers of all hosts')
    .action((_options: unknown, command: Command) =>
      withSession(command, terminal, async ({ client, output }) => {
        const answer = await api.containers(client);
        output.result(answer, () => containersTable(answer.hosts));
      }),
    );
}

/** Hosts and containers by name; a host without containers has a line too. */
export function containersTable(hosts: readonly HostContainers[]): string {
  const sorted = hosts.toSorted((a, b) => a.host.name.localeCompare(b.host.name));
  const rows = sorted.flatMap((entry) => {
    const containers = entry.containers.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)));
    const mark = markOf(entry);
    if (containers.length === 0) return [[entry.host.name, '-', '-', '-', mark.trim() || 'no containers', '-']];
    return containers.map((container) => [
      entry.host.name,
      nameOf(container),
      container.Id.slice(0, 12),
      container.Image,
      container.Status + mark,
      portsOf(container),
    ]);
  });
  return table(['HOST', 'CONTAINER', 'ID', 'IMAGE', 'STATUS', 'PORTS'], rows);
}

function markOf({ host, stale }: HostContainers): string {
  if (host.status === 'away') return ' (stale: host away)';
  if (host.status === 'docker-down') return ' (stale: Docker down)';
  return stale ? ' (stale)' : '';
}

/** Docker lists a published port once for IPv4 and once for IPv6: shown once. */
function portsOf({ Ports }: ContainerSummary): string {
  const ports = Ports.map(({ PrivatePort, PublicPort, Type }) =>
    PublicPort === undefined ? `${PrivatePort}/${Type}` : `${PublicPort}->${PrivatePort}/${Type}`,
  );
  return [...new Set(ports)].join(', ') || '-';
}
