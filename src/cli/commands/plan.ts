import { Command } from 'commander';
import { CargoError } from '../../api/cargo-error.ts';
import type { Plan, PlanMount } from '../../api/plan.ts';
import { api } from '../api.ts';
import { findingLine } from '../output.ts';
import { formatBytes } from '../quantity.ts';
import { withSession } from '../session.ts';
import { printable, record } from '../table.ts';
import type { Terminal } from '../terminal.ts';
import { addMoveOptions, type MoveOptions, moveRequest } from './migrate-options.ts';

export function planCommand(terminal: Terminal): Command {
  return addMoveOptions(new Command('plan'))
    .description('say what a migration would do and what stands against it; changes nothing')
    .action((container: string, options: MoveOptions, command: Command) =>
      withSession(command, terminal, async ({ client, output }) => {
        const plan = await api.plan(client, moveRequest(container, options));
        output.result(plan, () => planText(plan));
        if (plan.blocked) {
          const blockers = plan.findings.filter(({ level }) => level === 'blocker').length;
          const things = blockers === 1 ? 'one thing stands' : `${blockers} things stand`;
          throw new CargoError(
            'BLOCKED',
            `${plan.container} can't be moved to ${plan.target} as it is: ${things} against it`,
          );
        }
      }),
    );
}

export function planText(plan: Plan): string {
  const { image, mounts } = plan;
  const text = record([
    ['container', plan.container],
    ['from', plan.source],
    ['to', plan.target],
    ['strategy', plan.strategy],
    ['image', `${image.reference} (${image.presentAtTarget ? 'present at the target' : formatBytes(image.bytes)})`],
    ...mounts.map((mount) => [mount.kind, mountText(mount)] as const),
    ['verdict', plan.blocked ? 'blocked' : 'can be moved'],
  ]);
  return text + plan.findings.map((finding) => `${printable(findingLine(finding))}\n`).join('');
}

function mountText({ name, destination, files, bytes, strategy, reason }: PlanMount): string {
  const why = reason === null ? '' : `: ${reason}`;
  return `${name} at ${destination}: ${formatBytes(bytes)} in ${files} files; ${strategy}${why}`;
}
