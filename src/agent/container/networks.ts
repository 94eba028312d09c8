import { CargoError } from '../../api/cargo-error.ts';
import type { ContainerDefinition } from '../../api/container-definition.ts';
import type { ContainerInspect, Engine, NetworkInspect } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import { hasFixedAddress } from './create-body.ts';
import { inspectOf, networksOf } from './definition-parts.ts';
import { networkConflict, subnetsTaken } from './network-rules.ts';
import { adding, targetOf, undecidedTargets, updateTarget } from './records.ts';

/** Has the container's user-defined networks on this host: existing ones that fit are used, the others are made. */
export async function ensureNetworks(
  engine: Engine,
  context: StepContext,
  definition: ContainerDefinition,
): Promise<void> {
  const inspect = inspectOf(definition);
  for (const wanted of networksOf(definition)) await ensureNetwork(engine, context, wanted, inspect);
}

async function ensureNetwork(
  engine: Engine,
  context: StepContext,
  wanted: NetworkInspect,
  inspect: ContainerInspect,
): Promise<void> {
  const { signal } = context;
  const networks = await engine.networks(signal);
  const fixed = hasFixedAddress(inspect, wanted.Name);
  const existing = networks.find((network) => network.Name === wanted.Name);
  if (existing !== undefined) {
    const conflict = networkConflict(existing, wanted, fixed);
    if (conflict === null || targetOf(context).createdNetworks.includes(wanted.Name))
      return share(context, wanted.Name);
    throw new CargoError('BLOCKED', conflict.message, { details: { findings: [conflict] } });
  }
  const taken = subnetsTaken(wanted, networks);
  if (taken !== null && fixed) throw new CargoError('BLOCKED', taken.message, { details: { findings: [taken] } });
  await updateTarget(context, (target) => ({ createdNetworks: adding(target.createdNetworks, wanted.Name) }));
  await engine.createNetwork(networkToCreate(wanted, taken === null), signal);
}

/** A network that another migration has made for itself: whoever of the two goes back last takes it away. */
async function share(context: StepContext, name: string): Promise<void> {
  if (!undecidedTargets(context).some(({ createdNetworks }) => createdNetworks.includes(name))) return;
  await updateTarget(context, (target) => ({ createdNetworks: adding(target.createdNetworks, name) }));
}

/**
 * Removes networks that were made for a container that is gone. One that another container refers to stays: Docker
 * itself would spare it only while that one runs.
 * @returns what is gone
 */
export async function removeNetworks(engine: Engine, names: readonly string[], signal: AbortSignal): Promise<string[]> {
  const containers = names.length === 0 ? [] : await engine.containers(signal);
  const used = new Set(containers.flatMap(({ NetworkSettings }) => Object.keys(NetworkSettings.Networks)));
  const removed: string[] = [];
  for (const name of names) if (!used.has(name) && (await engine.removeNetwork(name, signal))) removed.push(name);
  return removed;
}

/** The same network; without its addresses where they are taken here and the container does not depend on them. */
function networkToCreate(wanted: NetworkInspect, sameSubnets: boolean): { Name: string } & Record<string, unknown> {
  return {
    Name: wanted.Name,
    Driver: wanted.Driver,
    Internal: wanted.Internal,
    Attachable: wanted.Attachable,
    EnableIPv6: wanted.EnableIPv6,
    Options: wanted.Options ?? {},
    Labels: wanted.Labels ?? {},
    IPAM: sameSubnets ? wanted.IPAM : { ...wanted.IPAM, Config: [] },
  };
}
