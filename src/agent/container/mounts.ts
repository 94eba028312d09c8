import type { ContainerInspect, MountPoint } from '../docker/index.ts';

/** One volume or bind path of a container, with all the places where it is mounted. */
export type MountSource = {
  kind: 'volume' | 'bind';
  name: string;
  anonymous: boolean;
  path: string;
  driver: string;
  destinations: string[];
  readOnly: boolean;
};

/** The volumes and bind mounts of a container, each once, in an order that does not change from call to call. */
export function mountSources(inspect: ContainerInspect): MountSource[] {
  const sources = new Map<string, MountSource>();
  const byDestination = (a: MountPoint, b: MountPoint) => (a.Destination < b.Destination ? -1 : 1);
  for (const mount of [...inspect.Mounts].sort(byDestination)) {
    if (mount.Type !== 'volume' && mount.Type !== 'bind') continue;
    const name = mount.Type === 'volume' ? (mount.Name ?? '') : mount.Source;
    const key = `${mount.Type} ${name}`;
    const known = sources.get(key);
    if (known !== undefined) {
      known.destinations.push(mount.Destination);
      known.readOnly &&= !mount.RW;
      known.anonymous &&= isAnonymous(inspect, mount);
      continue;
    }
    sources.set(key, {
      kind: mount.Type,
      name,
      anonymous: mount.Type === 'volume' && isAnonymous(inspect, mount),
      path: mount.Source,
      driver: mount.Driver ?? '',
      destinations: [mount.Destination],
      readOnly: !mount.RW,
    });
  }
  return [...sources.values()];
}

/** True where `docker create` with the same configuration makes a volume of its own for this destination. */
export function isAnonymous(inspect: ContainerInspect, mount: MountPoint): boolean {
  const { Mounts, VolumesFrom } = inspect.HostConfig;
  const wanted = (Mounts ?? []).find((candidate) => candidate.Target === mount.Destination);
  if (wanted !== undefined) return wanted.Type === 'volume' && (wanted.Source ?? '') === '';
  if (bindFor(inspect, mount.Destination) !== undefined) return false;
  return (VolumesFrom ?? []).length === 0 && Object.hasOwn(inspect.Config.Volumes ?? {}, mount.Destination);
}

/** Mounts that stand in no option of this container: they came with `--volumes-from`. */
export function mountsFromOthers(inspect: ContainerInspect): MountPoint[] {
  return inspect.Mounts.filter(
    (mount) =>
      !(inspect.HostConfig.Mounts ?? []).some((candidate) => candidate.Target === mount.Destination) &&
      bindFor(inspect, mount.Destination) === undefined &&
      !isAnonymous(inspect, mount),
  );
}

/** The entry of `-v SOURCE:DESTINATION[:OPTIONS]` for a destination. */
function bindFor(inspect: ContainerInspect, destination: string): string | undefined {
  return (inspect.HostConfig.Binds ?? []).find((bind) => bind.split(':')[1] === destination);
}
