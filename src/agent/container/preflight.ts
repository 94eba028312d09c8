import { join } from 'node:path';
import type { PreflightRequest, PreflightResponse } from '../../api/agent-steps.ts';
import { CargoError } from '../../api/cargo-error.ts';
import type { Base, ContainerDefinition, DataMount } from '../../api/container-definition.ts';
import type { Finding } from '../../api/plan.ts';
import type { Engine, EngineInfo } from '../docker/index.ts';
import { findSameImage } from '../image/index.ts';
import { probe } from '../lazy/index.ts';
import { attachmentBlocker } from './attached.ts';
import { matchingBase } from './bases.ts';
import { claimsOn, claimText } from './claims.ts';
import { hasFixedAddress } from './create-body.ts';
import { inspectOf, networksOf } from './definition-parts.ts';
import type { Measure } from './describe.ts';
import { diskFindings, type SpaceNeed } from './disk-findings.ts';
import { engineFindings } from './engine-findings.ts';
import { networkConflict, subnetsTaken } from './network-rules.ts';
import { placeFindings } from './place-findings.ts';
import { portFindings } from './port-findings.ts';
import { isSameFileHere, sameFileFinding } from './same-file.ts';
import { uniqueFindings } from './sharing.ts';

/** What would keep the container from living on this host. Changes nothing. */
export async function preflight(
  engine: Engine,
  measure: Measure,
  request: PreflightRequest,
  signal: AbortSignal,
): Promise<PreflightResponse> {
  const { definition, bases } = request;
  const info = await engine.info(signal);
  const imagePresent = (await findSameImage(engine, definition.image, signal)) !== null;
  const findings: Finding[] = [
    ...engineFindings(info),
    ...hostFindings(definition, info, await engine.apiVersion(signal)),
    ...(await nameFindings(engine, definition, signal)),
    ...(await portFindings(engine, inspectOf(definition), signal)),
    ...(await networksFindings(engine, definition, signal)),
    ...(await tagFindings(engine, definition, signal)),
  ];
  const needs: SpaceNeed[] = [{ path: info.DockerRootDir, bytes: imagePresent ? 0 : definition.image.bytes }];
  const sameFiles: number[] = [];
  for (const mount of definition.mounts) {
    if (await isSameFileHere(mount)) {
      sameFiles.push(mount.index);
      findings.push(sameFileFinding(mount));
      continue;
    }
    const base = await matchingBase(mount, definition.name, bases);
    if (base === null) findings.push(...(await placeFindings(engine, mount, signal)));
    needs.push(await spaceNeed(mount, base, info.DockerRootDir, measure, signal));
  }
  findings.push(...(await claimFindings(engine, request, sameFiles, signal)));
  findings.push(...(await otherPlaceFindings(engine, definition, signal)));
  findings.push(...(await diskFindings(needs)));
  const lazy = lazyAnswers(definition, info.DockerRootDir);
  return { findings: uniqueFindings(findings), imagePresent, sameFiles, lazy };
}

/** Whether the content of each volume may follow its container to this host. */
function lazyAnswers({ mounts }: ContainerDefinition, dockerRoot: string): PreflightResponse['lazy'] {
  const volumes = mounts.filter(({ kind }) => kind === 'volume');
  const reason = volumes.length === 0 ? null : reasonAgainstLazy(join(dockerRoot, 'volumes'));
  return volumes.map(({ index, driverOpts }) => ({
    index,
    reason: Object.keys(driverOpts).length > 0 ? 'Docker mounts a volume with options by itself' : reason,
  }));
}

function reasonAgainstLazy(path: string): string | null {
  try {
    probe(path);
    return null;
  } catch (thrown) {
    return CargoError.from(thrown).message;
  }
}

/** What Cargo left here and somebody else has put to use since. */
async function claimFindings(
  engine: Engine,
  request: PreflightRequest,
  sameFiles: readonly number[],
  signal: AbortSignal,
): Promise<Finding[]> {
  const { definition, bases } = request;
  const left = new Set(bases.map(({ containerId }) => containerId));
  const mounts = definition.mounts.filter(({ index }) => !sameFiles.includes(index));
  const claims = await claimsOn(engine, mounts, ({ Id }) => left.has(Id), signal);
  return claims.map((claim) => ({
    level: 'blocker',
    code: 'place-in-use',
    subject: claim.mount.name,
    message: claimText(claim),
  }));
}

/** Volumes that are attached, and containers that legacy links name. */
async function otherPlaceFindings(
  engine: Engine,
  definition: ContainerDefinition,
  signal: AbortSignal,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const volume of definition.attached) {
    const blocker = await attachmentBlocker(engine, volume, signal);
    if (blocker !== null) findings.push(blocker);
  }
  for (const link of inspectOf(definition).HostConfig.Links ?? []) {
    const name = link.split(':')[0]?.replace(/^\//, '') ?? '';
    const linked = await engine.findContainer(name, signal);
    if (linked?.State.Running && linked.Name === `/${name}`) continue;
    const message = `the legacy link ${link} needs a running container ${name} at the target: move that one first`;
    findings.push({ level: 'blocker', code: 'link-missing', subject: link, message });
  }
  return findings;
}

async function spaceNeed(
  mount: DataMount,
  base: Base | null,
  dockerRoot: string,
  measure: Measure,
  signal: AbortSignal,
): Promise<SpaceNeed> {
  const here = base === null ? 0 : (await measure({ path: base.dataPath, isFile: mount.isFile }, signal)).bytes;
  return { path: mount.kind === 'bind' ? mount.name : dockerRoot, bytes: Math.max(0, mount.bytes - here) };
}

/** Docker and the kernel have two names for each architecture. */
const architectures: Record<string, string> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
  armv7l: 'arm',
  armv6l: 'arm',
  i686: '386',
};
/** From 1.44 on (Docker 25) a container is created with all its networks at once. */
const OLDEST_API = [1, 44] as const;

function hostFindings(definition: ContainerDefinition, info: EngineInfo, apiVersion: string): Finding[] {
  const { image } = definition;
  const findings: Finding[] = [];
  const block = (code: string, subject: string, message: string) =>
    findings.push({ level: 'blocker', code, subject, message });
  const here = architectures[info.Architecture] ?? info.Architecture;
  if (image.layers.length > 0 && (image.architecture !== here || image.os !== info.OSType)) {
    const message = `the image is for ${image.os}/${image.architecture}, the target host is ${info.OSType}/${here}`;
    block('architecture-differs', image.reference, message);
  }
  const [major = 0, minor = 0] = apiVersion.split('.').map(Number);
  if (major < OLDEST_API[0] || (major === OLDEST_API[0] && minor < OLDEST_API[1])) {
    block(
      'docker-too-old',
      apiVersion,
      `Docker at the target has API ${apiVersion}: Cargo needs 1.44 (Docker 25) or newer`,
    );
  }
  const { HostConfig } = inspectOf(definition);
  const runtimes = Object.keys(info.Runtimes ?? {});
  if (HostConfig.Runtime !== undefined && HostConfig.Runtime !== '' && !runtimes.includes(HostConfig.Runtime)) {
    block(
      'runtime-missing',
      HostConfig.Runtime,
      `the target's Docker has no runtime ${HostConfig.Runtime}: install it there`,
    );
  }
  const log = HostConfig.LogConfig?.Type ?? '';
  if (log !== '' && log !== 'none' && info.Plugins?.Log != null && !info.Plugins.Log.includes(log)) {
    block('log-driver-missing', log, `the target's Docker has no log driver ${log}: install it there`);
  }
  if (HostConfig.NanoCpus > info.NCPU * 1e9) {
    const cpus = HostConfig.NanoCpus / 1e9;
    block(
      'too-few-cpus',
      `${cpus} CPUs`,
      `the container is given ${cpus} CPUs, the target has ${info.NCPU}: give it less`,
    );
  }
  return findings;
}

async function nameFindings(engine: Engine, definition: ContainerDefinition, signal: AbortSignal): Promise<Finding[]> {
  const other = await engine.findContainer(definition.name, signal);
  if (other?.Name !== `/${definition.name}`) return [];
  const message = `the target has a container ${definition.name} already: rename or remove it there`;
  return [{ level: 'blocker', code: 'name-taken', subject: definition.name, message }];
}

async function networksFindings(
  engine: Engine,
  definition: ContainerDefinition,
  signal: AbortSignal,
): Promise<Finding[]> {
  const inspect = inspectOf(definition);
  const here = await engine.networks(signal);
  const findings: Finding[] = [];
  for (const wanted of networksOf(definition)) {
    const fixed = hasFixedAddress(inspect, wanted.Name);
    const existing = here.find((network) => network.Name === wanted.Name);
    const finding = existing === undefined ? subnetsTaken(wanted, here) : networkConflict(existing, wanted, fixed);
    if (finding === null) continue;
    const harmless = existing === undefined && !fixed;
    findings.push(harmless ? { ...finding, level: 'warning', message: `${finding.message}: it gets others` } : finding);
  }
  return findings;
}

async function tagFindings(engine: Engine, { image }: ContainerDefinition, signal: AbortSignal): Promise<Finding[]> {
  const named = await engine.findImage(image.reference, signal);
  if (named === null || named.Id === image.id || !image.referenceIsCurrent) return [];
  const message = `${image.reference} is another image at the target: the container is created from the image's id there`;
  return [{ level: 'warning', code: 'tag-differs', subject: image.reference, message }];
}
