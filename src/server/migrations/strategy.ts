import type { PreflightResponse } from '../../api/agent-steps.ts';
import type { ContainerDefinition, DataMount, Strategy } from '../../api/container-definition.ts';
import { type Host, LAZY } from '../../api/host.ts';
import type { Finding } from '../../api/plan.ts';

/** A mount's index → why its data is copied before the container starts; lazy mounts are not in it. */
export type Reasons = ReadonlyMap<number, string>;

/**
 * Decides for each mount whether its data follows the running container. That is asked for with `wanted`, and possible
 * for volumes between two hosts that both have the lazy engine.
 */
export function decideStrategies(
  definition: ContainerDefinition,
  hosts: { source: Host; target: Host },
  { lazy }: Pick<PreflightResponse, 'lazy'>,
  wanted: Strategy,
): { definition: ContainerDefinition; reasons: Reasons } {
  const reasons = new Map<number, string>();
  const mounts = definition.mounts.map((mount): DataMount => {
    const reason = wanted === 'precopy' ? 'precopy is what was asked for' : reasonAgainst(mount, hosts, lazy);
    if (reason !== null) reasons.set(mount.index, reason);
    return { ...mount, strategy: reason === null ? 'lazy' : 'precopy' };
  });
  return { definition: { ...definition, mounts }, reasons };
}

/** What is said to who asks for lazy by name where no mount can be. */
export function refusedLazy({ mounts, running }: ContainerDefinition, reasons: Reasons): Finding[] {
  if (mounts.some(({ index }) => !reasons.has(index))) return [];
  const finding = { level: 'blocker', code: 'not-lazy' } as const;
  if (!running)
    return [{ ...finding, subject: 'strategy', message: 'a stopped container is moved whole: use precopy' }];
  if (mounts.length === 0) return [{ ...finding, subject: 'strategy', message: 'it has no data that could follow' }];
  return mounts.map(({ index, name }) => ({ ...finding, subject: name, message: reasons.get(index) ?? '' }));
}

function reasonAgainst(
  { index, kind }: DataMount,
  { source, target }: { source: Host; target: Host },
  lazy: PreflightResponse['lazy'],
): string | null {
  if (kind === 'bind') return 'other programs of the host may use the path of a bind mount before its data is there';
  for (const host of [source, target]) {
    if (!host.abilities.includes(LAZY)) return `the agent of ${host.name} (version ${host.version}) can't do it`;
  }
  const answer = lazy.find((candidate) => candidate.index === index);
  return answer === undefined ? `${target.name} does not say whether it can` : answer.reason;
}
