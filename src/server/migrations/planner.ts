import { CargoError } from '../../api/cargo-error.ts';
import type { Base, ContainerDefinition, Strategy } from '../../api/container-definition.ts';
import { abilities, type Host } from '../../api/host.ts';
import { busyPhases, type MigrateOptions, undecidedPhases } from '../../api/migration.ts';
import type { Finding, Plan } from '../../api/plan.ts';
import { findContainer } from './find-container.ts';
import type { MigrationStore } from './migration-store.ts';
import type { Agents, Hosts } from './ports.ts';
import { decideStrategies, type Reasons, refusedLazy } from './strategy.ts';

/** Where nobody says which. */
const DEFAULT_STRATEGY: Strategy = 'lazy';

export type Planned = {
  plan: Plan;
  definition: ContainerDefinition;
  source: Host;
  target: Host;
  bases: Base[];
};

export type PlannerPorts = { hosts: Hosts; agents: Agents; migrations: MigrationStore };

/** Asks both hosts what keeps the container from moving. Changes nothing anywhere. */
export async function makePlan(ports: PlannerPorts, options: MigrateOptions, signal: AbortSignal): Promise<Planned> {
  refuseUnbuilt(options);
  const target = await ports.hosts.resolve(options.target);
  const wanted = options.source === undefined ? null : await ports.hosts.resolve(options.source);
  if (wanted?.id === target.id) throw sameHost(target);
  const { host: source, containerId } = await findContainer(
    ports.hosts,
    options.container,
    wanted,
    await stagedContainers(ports.migrations),
  );
  if (source.id === target.id) throw sameHost(target);
  for (const host of [source, target]) refuseUnable(host);
  await refuseKnown(ports.migrations, source, containerId);
  const described = await ports.agents.describe(source, containerId, signal);
  const known = await ports.migrations.basesOf(target.id);
  const bases = basesFor(described.definition, known);
  const checked = await ports.agents.preflight(target, { definition: described.definition, bases }, signal);
  const findings = [...described.findings, ...checked.findings];
  const { definition, reasons } = decideStrategies(
    without(described.definition, checked.sameFiles),
    { source, target },
    checked,
    described.definition.running ? (options.strategy ?? DEFAULT_STRATEGY) : 'precopy',
  );
  if (options.strategy === 'lazy') findings.push(...refusedLazy(definition, reasons));
  const plan = toPlan(definition, source, target, findings, checked.imagePresent, reasons);
  return { plan, definition, source, target, bases: basesFor(definition, known) };
}

/** Files of the host that are the same at the target are no data of the container: they are neither copied nor left. */
function without(definition: ContainerDefinition, sameFiles: readonly number[]): ContainerDefinition {
  return { ...definition, mounts: definition.mounts.filter(({ index }) => !sameFiles.includes(index)) };
}

/** @throws CargoError BLOCKED with the blockers as details */
export function refuseBlocked(plan: Plan): void {
  const blockers = plan.findings.filter(({ level }) => level === 'blocker');
  if (blockers.length === 0) return;
  const reasons = blockers.map(({ subject, message }) => `${subject}: ${message}`).join('; ');
  throw new CargoError('BLOCKED', `${plan.container} can't be moved to ${plan.target}: ${reasons}`, {
    details: { findings: blockers },
  });
}

function refuseUnbuilt(options: MigrateOptions): void {
  if (options.rootfs) {
    throw new CargoError('BAD_REQUEST', 'rootfs (moving the writable layer) is not available in this version');
  }
  if (options.precopySeconds !== undefined && options.strategy === 'precopy') {
    throw new CargoError('BAD_REQUEST', 'with strategy precopy all is copied first: leave precopySeconds out');
  }
}

/**
 * An agent of another version may lack what a migration needs: it is known by what it can do, not by its version.
 * @throws CargoError BLOCKED
 */
function refuseUnable(host: Host): void {
  const missing = abilities.filter((ability) => !host.abilities.includes(ability));
  if (missing.length === 0) return;
  throw new CargoError(
    'BLOCKED',
    `the agent of ${host.name} (version ${host.version}) can't do what a migration needs (${missing.join(', ')}): upgrade cargo-agent there`,
    { details: { host: host.name, missing } },
  );
}

function sameHost(host: Host): CargoError {
  return new CargoError('SAME_HOST', `source and target are the same host, ${host.name}: name another target`);
}

/** Containers that open migrations have made at their targets and not started yet. */
async function stagedContainers(migrations: MigrationStore): Promise<Set<string>> {
  const open = (await migrations.list()).filter(({ phase }) => undecidedPhases.includes(phase));
  return new Set(open.flatMap(({ targetContainerId }) => targetContainerId ?? []));
}

/** A container that a migration holds, or that one has left behind, isn't moved again. */
async function refuseKnown(migrations: MigrationStore, source: Host, containerId: string): Promise<void> {
  for (const migration of await migrations.list()) {
    const movedAway = migration.sourceId === source.id && migration.containerId === containerId;
    const movedHere = migration.targetId === source.id && migration.targetContainerId === containerId;
    if ((movedAway || movedHere) && busyPhases.includes(migration.phase)) {
      const hint =
        migration.phase === 'copied' ? `run \`cargoctl failover ${migration.container}\` first` : 'wait for it';
      throw new CargoError(
        'MIGRATION_EXISTS',
        `${migration.container} is in migration ${migration.id} (${migration.phase}): ${hint}`,
        { details: { migration: migration.id } },
      );
    }
    if (movedAway && migration.phase === 'completed') {
      throw new CargoError(
        'BLOCKED',
        `this is what was left on ${source.name} when ${migration.container} moved to ${migration.target}: move that one`,
      );
    }
  }
}

/** What an earlier migration of the same container left at the target: volumes by name, anonymous ones by mount point. */
export function basesFor(definition: ContainerDefinition, known: readonly Base[]): Base[] {
  const ofContainer = known.filter(({ containerName }) => containerName === definition.name);
  return ofContainer.filter((base) =>
    definition.mounts.some((mount) => {
      if (mount.kind !== base.kind || mount.anonymous !== base.anonymous) return false;
      return mount.anonymous ? overlap(mount.destinations, base.destinations) : mount.name === base.name;
    }),
  );
}

function overlap(a: readonly string[], b: readonly string[]): boolean {
  return a.some((value) => b.includes(value));
}

/** Of a migration that was planned by a server that is lost. */
export function blankPlan(definition: ContainerDefinition, source: Host, target: Host): Plan {
  return toPlan(definition, source, target, [], true, new Map());
}

function toPlan(
  definition: ContainerDefinition,
  source: Host,
  target: Host,
  findings: Finding[],
  imagePresent: boolean,
  reasons: Reasons,
): Plan {
  return {
    container: definition.name,
    source: source.name,
    target: target.name,
    strategy: definition.mounts.some(({ strategy }) => strategy === 'lazy') ? 'lazy' : 'precopy',
    image: { reference: definition.image.reference, bytes: definition.image.bytes, presentAtTarget: imagePresent },
    mounts: definition.mounts.map(({ index, destinations, kind, name, files, bytes, strategy }) => ({
      destination: destinations.join(', '),
      kind,
      name,
      files,
      bytes,
      strategy,
      reason: reasons.get(index) ?? null,
    })),
    findings,
    blocked: findings.some(({ level }) => level === 'blocker'),
  };
}
