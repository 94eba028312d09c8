import { type ContainerSummary, Host } from '../../../src/api/host.ts';
import { Migration, type VolumeHydration } from '../../../src/api/migration.ts';

export const h1 = exampleHost('h1', '457e43a5-e62d-4669-ab0f-6f5ae7ec7492');
export const h2 = exampleHost('h2', 'ee80061b-0d11-4b7a-aeeb-f8cd4ddbd9b8');

export function exampleHost(name: string, id: string, status: Host['status'] = 'ready'): Host {
  return Host.parse({
    id,
    name,
    status,
    joinedAt: '2026-01-01T00:00:00.000Z',
    lastSeenAt: '2026-01-02T03:04:05.678Z',
    dataAddress: '10.0.0.1:5005',
    version: '0.1.0',
    abilities: ['precopy'],
    kernel: '6.18.0',
    architecture: 'x86_64',
    dockerVersion: '26.1.5',
    dockerRoot: '/var/lib/docker',
    storageDriver: 'overlay2',
  });
}

export function exampleContainer(name: string, status: string): ContainerSummary {
  return {
    Id: 'e1bf478fe8075fa6fe2be2ea1d6fdb348e5abbb10627bf7083e521a2ab45c30e',
    Names: [`/${name}`],
    Image: 'mariadb:lab',
    Command: 'mariadbd',
    Created: 1447255384,
    Status: status,
    Ports: [
      { IP: '0.0.0.0', PrivatePort: 3306, PublicPort: 3306, Type: 'tcp' },
      { IP: '::', PrivatePort: 3306, PublicPort: 3306, Type: 'tcp' },
    ],
    Labels: {},
  };
}

const MIB = 1024 * 1024;

/** A migration of mysqldemo from h1 to h2 that is in `copied`, changed as told. */
export function exampleMigration(changes: Partial<Migration> = {}): Migration {
  return Migration.parse({
    id: 'm-1',
    container: 'mysqldemo',
    containerId: 'e1bf478fe807',
    targetContainerId: 'aaaaaaaaaaaa',
    source: 'h1',
    sourceId: h1.id,
    target: 'h2',
    targetId: h2.id,
    phase: 'copied',
    strategy: 'precopy',
    rootfs: false,
    bwlimit: null,
    activity: '',
    files: { total: 208, local: 208, verified: 208 },
    bytes: { total: 155 * MIB, local: 155 * MIB, verified: 155 * MIB },
    rate: null,
    etaSeconds: null,
    rounds: [1, 2, 3].map((round) => {
      return { round, final: round === 3, files: 208, deleted: 0, bytes: 155 * MIB, durationMs: 1500 };
    }),
    downtimeMs: 1420,
    switchTimes: { stopMs: 550, drainMs: 20, applyMs: 110, armMs: null, startMs: 310, healthyMs: null },
    createdAt: '2026-01-01T00:00:00.000Z',
    startedAt: '2026-01-01T00:00:01.000Z',
    updatedAt: '2026-01-01T00:00:09.000Z',
    copiedAt: '2026-01-01T00:00:09.000Z',
    completedAt: null,
    cleanedUp: false,
    movedAs: 'mysqldemo-moved-1234abcd',
    findings: [],
    error: null,
    recovery: null,
    ...changes,
  });
}

/** The same migration while its bytes travel. */
export function exampleStaging(localBytes: number, changes: Partial<Migration> = {}): Migration {
  return exampleMigration({
    phase: 'staging',
    activity: 'copying volume mysqldata',
    files: { total: 208, local: 104, verified: 104 },
    bytes: { total: 100 * MIB, local: localBytes, verified: localBytes },
    rate: 10 * MIB,
    etaSeconds: 5,
    rounds: [],
    downtimeMs: null,
    copiedAt: null,
    movedAs: null,
    targetContainerId: null,
    ...changes,
  });
}

export const exampleVolume: VolumeHydration = {
  name: 'mysqldata',
  files: 208,
  filesMissing: 104,
  bytesMissing: 50 * MIB,
  bytesFetched: 50 * MIB,
  waiting: 2,
  waits: 57,
  denied: 0,
  p50Ms: 3.14,
  p99Ms: 41.3,
  sourceAway: null,
  trouble: [],
};

/** The same migration while its data follows the container, which runs at h2. */
export function exampleHydrating(changes: Partial<Migration> = {}): Migration {
  return exampleStaging(50 * MIB, {
    phase: 'hydrating',
    strategy: 'lazy',
    activity: 'the container runs at the target; its data follows',
    downtimeMs: 1420,
    movedAs: 'mysqldemo-moved-1234abcd',
    targetContainerId: 'aaaaaaaaaaaa',
    hydration: [exampleVolume],
    ...changes,
  });
}
