import { isDeepStrictEqual } from 'node:util';
import { CargoError } from '../../api/cargo-error.ts';
import type { AttachedVolume, ContainerDefinition } from '../../api/container-definition.ts';
import type { Finding } from '../../api/plan.ts';
import type { Engine, VolumeInspect } from '../docker/index.ts';
import type { StepContext } from '../migrations/step-context.ts';
import type { MountSource } from './mounts.ts';
import { adding, targetOf, updateTarget } from './records.ts';

/** What `type=` of a volume of the local driver says when the data is on another machine, or in memory. */
const elsewhere = new Set(['nfs', 'nfs4', 'cifs', 'smb3', 'ceph', 'glusterfs', '9p', 'tmpfs']);

/** The volumes whose data is not on this host: the target attaches them too, and nothing of them is copied. */
export async function attachedVolumes(
  engine: Engine,
  sources: readonly MountSource[],
  signal: AbortSignal,
): Promise<AttachedVolume[]> {
  const attached: AttachedVolume[] = [];
  for (const { kind, name } of sources) {
    const volume = kind === 'volume' ? await engine.findVolume(name, signal) : null;
    if (volume !== null && isElsewhere(volume)) attached.push(toAttached(volume));
  }
  return attached;
}

export function attachedFindings(volumes: readonly AttachedVolume[]): Finding[] {
  return volumes.map(({ name, driver, driverOpts }) => {
    if (driver === 'local' && driverOpts['type'] === 'tmpfs') {
      const message = `volume ${name} is in memory (tmpfs): it starts empty at the target`;
      return { level: 'warning', code: 'tmpfs-lost', subject: name, message };
    }
    const what = driver === 'local' ? driverOpts['type'] : `driver ${driver}`;
    const message = `volume ${name} (${what}) is attached at the target, its data is not copied`;
    return { level: 'info', code: 'volume-attached', subject: name, message };
  });
}

/** Why a volume can't be attached on this host, or null. */
export async function attachmentBlocker(
  engine: Engine,
  wanted: AttachedVolume,
  signal: AbortSignal,
): Promise<Finding | null> {
  const { name, driver } = wanted;
  const blocker = (code: string, message: string): Finding => ({ level: 'blocker', code, subject: name, message });
  const existing = await engine.findVolume(name, signal);
  if (existing === null) {
    if (driver === 'local') return null;
    // Whether a plugin would show the same data under that name, or make an empty volume, only its users know.
    const message = `volume ${name} is of driver ${driver}, and the target does not know it: create it there first`;
    return blocker('volume-driver', message);
  }
  const { driver: otherDriver, driverOpts } = toAttached(existing);
  if (otherDriver === driver && isDeepStrictEqual(driverOpts, wanted.driverOpts)) return null;
  const message = `the target has another volume ${name}: its driver or driver options differ; rename or remove it there`;
  return blocker('volume-exists', message);
}

/** Has the volumes on this host: one that is there already stays as it is. @throws CargoError BLOCKED */
export async function ensureAttached(
  engine: Engine,
  context: StepContext,
  { attached }: ContainerDefinition,
): Promise<void> {
  const { signal } = context;
  for (const volume of attached) {
    const blocker = await attachmentBlocker(engine, volume, signal);
    if (blocker !== null) throw new CargoError('BLOCKED', blocker.message, { details: { findings: [blocker] } });
    const { name } = volume;
    if ((await engine.findVolume(name, signal)) !== null) continue;
    if (!targetOf(context).createdVolumes.includes(name)) {
      await updateTarget(context, (target) => ({ createdVolumes: adding(target.createdVolumes, name) }));
    }
    await engine.createVolume(volume, signal);
  }
}

function isElsewhere({ Driver, Options }: VolumeInspect): boolean {
  return Driver !== 'local' || elsewhere.has(Options?.['type'] ?? '');
}

function toAttached({ Name, Driver, Labels, Options }: VolumeInspect): AttachedVolume {
  return { name: Name, driver: Driver, labels: Labels ?? {}, driverOpts: Options ?? {} };
}
