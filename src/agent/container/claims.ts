import { CargoError } from '../../api/cargo-error.ts';
import type { Base, DataMount } from '../../api/container-definition.ts';
import type { Engine, ListedContainer } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { overlaps, resolved } from './host-paths.ts';
import { definitionOf, targetOf } from './records.ts';

/** `created`: staged by another migration, or about to be started by an operator. */
const claiming = new Set(['running', 'paused', 'restarting', 'created']);

/** A place of a data mount that another container of this host holds. */
export type Claim = { mount: DataMount; holder: string };

/**
 * A place that another container of this host holds is that container's, were it empty, or known as a base.
 * @param isOwn whether a container is this migration's, or what an earlier one left here
 */
export async function claimsOn(
  engine: Engine,
  mounts: readonly DataMount[],
  isOwn: (container: ListedContainer) => boolean,
  signal: AbortSignal,
): Promise<Claim[]> {
  const others = (await engine.containers(signal)).filter((other) => claiming.has(other.State) && !isOwn(other));
  const claims: Claim[] = [];
  for (const mount of mounts.filter(({ anonymous }) => !anonymous)) {
    for (const other of others) if (await holds(other, mount)) claims.push({ mount, holder: nameOf(other) });
  }
  return claims;
}

/**
 * @param temporaryName the name under which an interrupted call may have made this migration's own container
 * @throws CargoError BLOCKED
 */
export async function refuseClaimed(
  engine: Engine,
  context: StepContext,
  bases: readonly Base[],
  temporaryName: string,
): Promise<void> {
  const own = new Set([targetOf(context).containerId, ...bases.map(({ containerId }) => containerId)]);
  const isOwn = ({ Id, Names }: ListedContainer): boolean => own.has(Id) || Names.includes(`/${temporaryName}`);
  const [claim] = await claimsOn(engine, definitionOf(context).mounts, isOwn, context.signal);
  if (claim !== undefined) throw new CargoError('BLOCKED', claimText(claim));
}

export function claimText({ mount, holder }: Claim): string {
  const what = mount.kind === 'volume' ? `volume ${mount.name}` : mount.name;
  return `${what} at the target belongs to the container ${holder}: nothing is merged into it`;
}

function nameOf({ Names, Id }: ListedContainer): string {
  return Names[0]?.replace(/^\//, '') ?? Id;
}

async function holds({ Mounts }: ListedContainer, mount: DataMount): Promise<boolean> {
  for (const use of Mounts) {
    if (mount.kind === 'volume' && use.Type === 'volume' && use.Name === mount.name) return true;
    if (mount.kind !== 'bind' || use.Type !== 'bind') continue;
    if (overlaps(await resolved(mount.name), await resolved(use.Source))) return true;
  }
  return false;
}
