import { lstat } from 'node:fs/promises';
import type { DescribeResponse } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import type { ContainerDefinition, DataMount, ImageDefinition } from '../../api/container-definition.ts';
import type { Finding } from '../../api/plan.ts';
import type { ContainerInspect, Engine } from '../docker/index.ts';
import { attachedFindings, attachedVolumes } from './attached.ts';
import { configFindings } from './config-findings.ts';
import { engineFindings } from './engine-findings.ts';
import { exists, isWithin, resolved } from './host-paths.ts';
import { mountFindings } from './mount-findings.ts';
import { type MountSource, mountSources } from './mounts.ts';
import { networkFindings } from './network-findings.ts';
import { fingerprintOf } from './same-file.ts';
import { uniqueFindings, usedByOthers } from './sharing.ts';
import { stateFindings } from './state-findings.ts';

/** Counts the entries of a tree and the bytes they take. */
export type Measure = (
  root: { path: string; isFile: boolean },
  signal: AbortSignal,
) => Promise<{ files: number; bytes: number }>;

/** What a container is and what keeps it from moving, as the host that it is on sees it. Changes nothing. */
export async function describe(
  engine: Engine,
  measure: Measure,
  container: string,
  signal: AbortSignal,
): Promise<DescribeResponse> {
  const { inspect, raw } = await engine.inspectWhole(container, signal);
  const info = await engine.info(signal);
  const image = await imageOf(engine, inspect, signal);
  const networks = await userNetworks(engine, inspect, signal);
  const allSources = mountSources(inspect);
  const attached = await attachedVolumes(engine, allSources, signal);
  const sources = allSources.filter(({ name }) => !attached.some((volume) => volume.name === name));
  const findings: Finding[] = [
    ...engineFindings(info),
    ...stateFindings(inspect),
    ...configFindings(inspect),
    ...networkFindings(inspect, networks),
    ...attachedFindings(attached),
    ...(await mountFindings(engine, inspect, sources, info.DockerRootDir, signal)),
    ...(image.layers.length === 0 ? [imageGone(image)] : []),
    ...(await changesFinding(engine, inspect, signal)),
  ];
  const unfit = new Set(findings.filter((finding) => finding.level === 'blocker').map((finding) => finding.subject));
  const mounts: DataMount[] = [];
  for (const [index, source] of sources.entries()) {
    const mount = await dataMount(engine, source, index, signal);
    const size = unfit.has(source.name) ? null : await measured(measure, mount, signal);
    if (size !== null && 'code' in size) findings.push(size);
    mounts.push({ ...mount, ...(size !== null && 'files' in size ? size : { files: 0, bytes: 0 }) });
  }
  const definition: ContainerDefinition = {
    id: inspect.Id,
    name: inspect.Name.replace(/^\//, ''),
    running: inspect.State.Running,
    inspect: raw,
    image,
    networks,
    mounts,
    attached,
  };
  findings.push(...(await usedByOthers(engine, definition, signal)));
  return { definition, findings: uniqueFindings(findings) };
}

async function imageOf(engine: Engine, inspect: ContainerInspect, signal: AbortSignal): Promise<ImageDefinition> {
  const reference = inspect.Config.Image;
  const image = await engine.findImage(inspect.Image, signal);
  const named = await engine.findImage(reference, signal);
  return {
    id: inspect.Image,
    reference,
    referenceIsCurrent: named !== null && named.Id === inspect.Image,
    layers: image?.RootFS.Layers ?? [],
    bytes: image?.Size ?? 0,
    architecture: image?.Architecture ?? '',
    os: image?.Os ?? '',
  };
}

function imageGone(image: ImageDefinition): Finding {
  const message = `image ${image.reference} of the container is no longer on this host: pull or build it again`;
  return { level: 'blocker', code: 'image-missing', subject: image.reference, message };
}

/** The networks that somebody made; Docker's own three are on every host. */
async function userNetworks(
  engine: Engine,
  inspect: ContainerInspect,
  signal: AbortSignal,
): Promise<ContainerDefinition['networks']> {
  const networks: ContainerDefinition['networks'] = [];
  for (const [name, endpoint] of Object.entries(inspect.NetworkSettings.Networks)) {
    if (['bridge', 'host', 'none'].includes(name)) continue;
    const network = await engine.findNetwork(endpoint.NetworkID || name, signal);
    if (network !== null) networks.push(network);
  }
  return networks;
}

type Unmeasured = Omit<DataMount, 'files' | 'bytes'>;

async function dataMount(engine: Engine, source: MountSource, index: number, signal: AbortSignal): Promise<Unmeasured> {
  const volume = source.kind === 'volume' ? await engine.findVolume(source.name, signal) : null;
  const path = source.kind === 'bind' ? await resolved(source.path) : source.path;
  const isFile = source.kind === 'bind' && (await exists(path)) && !(await lstat(path)).isDirectory();
  const { kind, name, anonymous, destinations, readOnly } = source;
  const [labels, driverOpts] = [volume?.Labels ?? {}, volume?.Options ?? {}];
  const fingerprint = isFile && readOnly ? await fingerprintOf(path) : null;
  const place = { index, kind, name, anonymous, path, isFile, destinations, readOnly };
  return { ...place, labels, driverOpts, fingerprint, strategy: 'precopy' };
}

/** How much there is, or why it can't be copied. */
async function measured(
  measure: Measure,
  mount: Unmeasured,
  signal: AbortSignal,
): Promise<{ files: number; bytes: number } | Finding> {
  try {
    return await measure({ path: mount.path, isFile: mount.isFile }, signal);
  } catch (thrown) {
    if (!(thrown instanceof CargoError) || thrown.code !== 'BLOCKED') throw thrown;
    return { level: 'blocker', code: 'data-not-copyable', subject: mount.name, message: thrown.message };
  }
}

async function changesFinding(engine: Engine, inspect: ContainerInspect, signal: AbortSignal): Promise<Finding[]> {
  const tmpfs = Object.keys(inspect.HostConfig.Tmpfs ?? {});
  const destinations = [...inspect.Mounts.map((mount) => mount.Destination), ...tmpfs];
  // Docker itself makes the directories on which it mounts.
  const changed = (await engine.changedPaths(inspect.Id, signal)).filter(
    (path) => !destinations.some((destination) => isWithin(destination, path)),
  );
  if (changed.length === 0) return [];
  const message =
    `${changed.length} paths were changed inside the container, outside its volumes: they stay behind, ` +
    `the container starts from its image at the target`;
  return [{ level: 'warning', code: 'writable-layer-stays', subject: inspect.Name.replace(/^\//, ''), message }];
}
