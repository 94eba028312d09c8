import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Finding } from '../../api/plan.ts';
import { isMountPoint } from '../../linux/mount.ts';
import type { ContainerInspect, Engine } from '../docker/index.ts';
import { isMissing, isWithin, overlaps, resolved } from './host-paths.ts';
import type { MountSource } from './mounts.ts';

/** Directories that belong to the host itself: nothing at or below them is a container's data. */
const systemTrees = ['/proc', '/sys', '/dev'];
/** Directories that are the host's own, but may hold data of containers further down. */
const systemDirectories = ['/', '/etc', '/run', '/var/run', '/var', '/usr', '/boot', '/bin', '/sbin', '/lib', '/lib64'];
const dataTypes = new Set(['volume', 'bind', 'tmpfs']);

/** Mounts whose data can't be carried. */
export async function mountFindings(
  engine: Engine,
  inspect: ContainerInspect,
  sources: readonly MountSource[],
  dockerRoot: string,
  signal: AbortSignal,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const mount of inspect.Mounts) {
    if (dataTypes.has(mount.Type)) continue;
    findings.push(blocker('mount-type', mount.Destination, `Cargo does not move mounts of type ${mount.Type}`));
  }
  for (const source of sources) {
    const found = source.kind === 'volume' ? volumeFindings(engine, source, signal) : bindFindings(source, dockerRoot);
    findings.push(...(await found));
  }
  return [...findings, ...(await nestedFindings(sources))];
}

async function volumeFindings(engine: Engine, source: MountSource, signal: AbortSignal): Promise<Finding[]> {
  const { name } = source;
  const volume = await engine.findVolume(name, signal);
  if (volume === null) return [blocker('volume-missing', name, `volume ${name} does not exist any more`)];
  const options = Object.entries(volume.Options ?? {});
  if (options.length > 0) {
    const shown = options.map(([key]) => key).join(', ');
    return [
      blocker(
        'volume-options',
        name,
        `volume ${name} has driver options (${shown}): its data is mounted from elsewhere`,
      ),
    ];
  }
  const gone = await unless(isMissing, () => stat(volume.Mountpoint));
  if (gone === null)
    return [blocker('volume-missing', name, `the directory of volume ${name} (${volume.Mountpoint}) is gone`)];
  if (isMountPoint(dirname(volume.Mountpoint))) {
    const message = `data of volume ${name} still follows a container that was moved here: wait until all of it is here`;
    return [blocker('data-follows', name, message)];
  }
  if (!isMountPoint(volume.Mountpoint)) return [];
  return [
    blocker(
      'volume-is-mount-point',
      name,
      `something is mounted on ${volume.Mountpoint}: use a bind mount of it instead`,
    ),
  ];
}

async function bindFindings(source: MountSource, dockerRoot: string): Promise<Finding[]> {
  const { name } = source;
  const path = await resolved(source.path);
  const root = await resolved(dockerRoot);
  const stats = await unless(isMissing, () => stat(path));
  if (stats === null)
    return [blocker('bind-missing', name, `${name} does not exist: the container could not start either`)];
  if (stats.isSocket()) {
    const what = /(docker|containerd|podman)[^/]*\.sock$/.test(path)
      ? 'the socket of this host’s Docker'
      : 'a socket of this host';
    return [blocker('bind-socket', name, `${name} is ${what}: it means another thing on another host`)];
  }
  const isSystem =
    systemDirectories.includes(path) || systemTrees.some((tree) => isWithin(path, tree)) || path === '/run/docker';
  if (isSystem) return [blocker('bind-system-path', name, `${name} belongs to the host itself and can't be moved`)];
  if (overlaps(path, root)) {
    return [blocker('bind-docker-root', name, `${name} lies above or inside Docker's own data (${root})`)];
  }
  if (stats.isDirectory() || stats.isFile()) return [];
  return [blocker('bind-not-data', name, `${name} is neither a directory nor a file`)];
}

/** A path below another one of the same container would travel twice. */
async function nestedFindings(sources: readonly MountSource[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  const paths = await Promise.all(sources.map((source) => resolved(source.path)));
  for (const [index, path] of paths.entries()) {
    const above = paths.findIndex(
      (other, at) => at !== index && isWithin(path, other) && (path !== other || at < index),
    );
    const [inner, outer] = [sources[index], sources[above]];
    if (inner === undefined || outer === undefined) continue;
    const message = `${inner.name} lies inside ${outer.name}, which the container mounts too: mount one of them alone`;
    findings.push(blocker('bind-nested', inner.name, message));
  }
  return findings;
}

async function unless<T>(expected: (thrown: unknown) => boolean, act: () => Promise<T>): Promise<T | null> {
  try {
    return await act();
  } catch (thrown) {
    if (expected(thrown)) return null;
    throw thrown;
  }
}

function blocker(code: string, subject: string, message: string): Finding {
  return { level: 'blocker', code, subject, message };
}
