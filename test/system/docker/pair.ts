import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { inject } from 'vitest';
import type { StepOutput } from '../../../src/api/agent-steps.ts';
import type { Base, ContainerDefinition } from '../../../src/api/container-definition.ts';
import { DockerHost } from './docker-host.ts';

/** The image of these tests, and how a container of it runs until it is asked to stop. */
export const IMAGE = 'cargo-docker-test:1';
const KEPT = ['busybox:lab', IMAGE];
export const WAITING = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.05; done'];

/** Two hosts of the lab, on which these tests are alone; everything that is in them goes at the end. */
export class HostPair implements Disposable {
  readonly source: DockerHost;
  readonly target: DockerHost;

  constructor(targetName: 'h2' | 'h3' = 'h2') {
    const lab = inject('lab');
    this.source = new DockerHost(lab, 'h1');
    this.target = new DockerHost(lab, targetName);
    this.source.imageSource = this.target;
    this.target.imageSource = this.source;
    this.clear();
    const hasImages = this.source.tryExec('docker', 'image', 'inspect', ...KEPT).status === 0;
    if (!hasImages) this.#makeImages(lab);
  }

  #makeImages(lab: string): void {
    const cargoLab = join(import.meta.dirname, '../../../bin/cargo-lab');
    execFileSync(cargoLab, ['image', 'busybox', '--host', 'h1', '--name', lab]);
    buildImage(this.source, IMAGE, ['FROM busybox:lab', 'RUN mkdir -p /seeded && echo seed > /seeded/file']);
  }

  /** Has an image of the source at the target too, before anything is moved. */
  copyImage(reference: string): void {
    const path = '/tmp/copied-image.tar';
    this.source.docker('save', '-o', path, reference);
    execFileSync('mv', [this.source.root + path, this.target.root + path]);
    this.target.docker('load', '-i', path);
    this.target.exec('rm', path);
  }

  /** The source keeps the images that every file of these tests needs there. */
  clear(): void {
    for (const host of [this.source, this.target]) sweep(host);
    this.target.docker('image', 'prune', '-af');
    const isOther = KEPT.map((image) => `$1 != "${image}"`).join(' && ');
    const others = `$1 ~ /<none>/ { print $2; next } ${isOther} { print $1 }`;
    const list = `docker images --format '{{.Repository}}:{{.Tag}} {{.ID}}' | awk '${others}' | sort -u`;
    this.source.exec('sh', '-c', `${list} | xargs -r docker rmi -f`);
  }

  [Symbol.dispose](): void {
    this.clear();
    this.source[Symbol.dispose]();
    this.target[Symbol.dispose]();
  }
}

/** Leaves nothing of a test on a host but images. `docker volume prune` would leave volumes with options. */
export function sweep(host: DockerHost): void {
  host.exec('sh', '-c', 'docker ps -aq | xargs -r docker rm -fv; docker volume ls -q | xargs -r docker volume rm');
  host.exec('sh', '-c', 'docker network prune -f; rm -rf /srv/cargo-test');
}

export function buildImage(host: DockerHost, tag: string, dockerfile: string[]): void {
  const lines = dockerfile.map((line) => `echo '${line.replaceAll("'", "'\\''")}'`).join('; ');
  host.exec(
    'sh',
    '-c',
    `d=$(mktemp -d); (${lines}) > $d/Dockerfile; DOCKER_BUILDKIT=0 docker build -q -t ${tag} $d; rm -r $d`,
  );
}

export type Move = { id: string; definition: ContainerDefinition; from: DockerHost; to: DockerHost };

export async function begin(from: DockerHost, to: DockerHost, container: string): Promise<Move> {
  const { definition, findings } = await from.describe(container);
  const blockers = findings.filter((finding) => finding.level === 'blocker');
  if (blockers.length > 0) throw new Error(`${container} can't move: ${JSON.stringify(blockers)}`);
  const id = randomUUID();
  await from.step(id, 'serve', { definition, targetHostId: randomUUID() });
  return { id, definition, from, to };
}

export function stage({ id, definition, from, to }: Move, bases: Base[] = []): Promise<StepOutput<'stage'>> {
  const source = { hostId: randomUUID(), name: from.name, address: '127.0.0.1:1' };
  return to.step(id, 'stage', { definition, source, bases });
}

/** Copies every data mount from where it stands at the source to where it is at the target. */
export async function copyData({ id, from, to }: Move, bases: readonly Base[]): Promise<void> {
  const paths = (await to.record(id))?.target?.mountPaths ?? [];
  for (const { index, path } of paths) {
    const base = bases[index];
    if (base === undefined) throw new Error(`no base for mount ${index}`);
    execFileSync('cp', ['-aT', join(from.root, base.dataPath), join(to.root, path)]);
  }
}

/** Moves a container whole. @returns where its data stands at the source */
export async function moveWhole(
  from: DockerHost,
  to: DockerHost,
  container: string,
  bases: Base[] = [],
): Promise<Base[]> {
  const move = await begin(from, to, container);
  await stage(move, bases);
  const frozen = await from.step(move.id, 'freeze', { movedTo: to.name, force: false });
  await copyData(move, frozen.bases);
  await to.step(move.id, 'start', { healthTimeoutMs: 30_000 });
  await to.step(move.id, 'finish', {});
  await from.step(move.id, 'release', { cleanup: false });
  return frozen.bases;
}
