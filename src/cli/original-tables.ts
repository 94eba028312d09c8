import type { ContainerSummary } from '../api/host.ts';
import type { Replication } from '../api/replication.ts';
import { printable } from './table.ts';

/** The 2015 guide's listing, to the letter: the container's name ends in column 38, its status in column 72. */
export function originalList(hosts: Readonly<Record<string, readonly ContainerSummary[]>>): string {
  const lines = [
    'HOSTID                       CONTAINER                            STATUS',
    '-------                   ------------                      ------------',
  ];
  for (const [key, containers] of Object.entries(hosts)) {
    lines.push(key.replace(/^\/agent\//, ''));
    for (const { Names, Id, Status } of containers) {
      const name = Names[0]?.replace(/^\//, '') ?? Id.slice(0, 12);
      lines.push(`${name.padStart(38)} ${Status.padStart(71 - Math.max(38, name.length))}`);
    }
  }
  return text(lines);
}

/** The guide's status table: figures start in columns 23 and 39, times in 49, 73 and 97; none follow an empty time. */
export function originalStatus(container: string, { total, curr, start, update, complete }: Replication): string {
  const times = [start, update, complete];
  const empty = times.indexOf('');
  const shown = empty === -1 ? times : times.slice(0, empty + 1);
  return text([
    'CONTAINER       TOTAL FILES     FILES COPIED              STARTED AT            LAST UPDATED            COMPLETED AT',
    '-------         ------------    ------------            ------------            ------------            ------------',
    `${container.padEnd(22)} ${String(total).padEnd(15)} ${String(curr).padEnd(9)} ${shown.join('     ')}`,
  ]);
}

function text(lines: readonly string[]): string {
  return lines.map((line) => `${printable(line)}\n`).join('');
}
