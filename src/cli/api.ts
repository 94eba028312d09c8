import { z } from 'zod';
import { ContainerSummary, Host, HostContainers, RemovedHost } from '../api/host.ts';
import { CreateTokenResponse } from '../api/join.ts';
import { type ControlOptions, Migration, type Side } from '../api/migration.ts';
import { Plan } from '../api/plan.ts';
import { Replication } from '../api/replication.ts';
import type { Client } from './client.ts';

/** A plan walks every volume at the source: many small files take minutes. */
const PLAN_LIMIT_MS = 15 * 60_000;
/** The original call answers only when the container runs at the target; Ctrl-C ends the wait before that. */
const WHOLE_MIGRATION_LIMIT_MS = 7 * 24 * 3_600_000;

const name = encodeURIComponent;

export type MigrateRequest = {
  container: string;
  target: string;
  source?: string;
  strategy?: 'lazy' | 'precopy';
  rootfs?: boolean;
  bwlimit?: number;
  force?: boolean;
  keepStaged?: boolean;
};

/** The calls that the commands make, by name. */
export const api = {
  containers: (client: Client) =>
    client.call({ method: 'GET', path: '/v1/containers', answer: z.object({ hosts: z.array(HostContainers) }) }),
  hosts: (client: Client) =>
    client.call({ method: 'GET', path: '/v1/hosts', answer: z.object({ hosts: z.array(Host) }) }),
  host: (client: Client, host: string) => client.call({ method: 'GET', path: `/v1/hosts/${name(host)}`, answer: Host }),
  removeHost: (client: Client, host: string, force: boolean) =>
    client.call({ method: 'DELETE', path: `/v1/hosts/${name(host)}?force=${force}`, answer: RemovedHost }),
  plan: (client: Client, body: MigrateRequest) =>
    client.call({ method: 'POST', path: '/v1/plans', body, answer: Plan, limitMs: PLAN_LIMIT_MS }),
  migrate: (client: Client, body: MigrateRequest) =>
    client.call({ method: 'POST', path: '/v1/migrations', body, answer: Migration, limitMs: PLAN_LIMIT_MS }),
  migrations: (client: Client) =>
    client.call({ method: 'GET', path: '/v1/migrations', answer: z.object({ migrations: z.array(Migration) }) }),
  migration: (client: Client, id: string) =>
    client.call({ method: 'GET', path: `/v1/migrations/${name(id)}`, answer: Migration }),
  latest: (client: Client, container: string) =>
    client.call({ method: 'GET', path: `/v1/containers/${name(container)}/migration`, answer: Migration }),
  cancel: (client: Client, id: string) =>
    client.call({ method: 'DELETE', path: `/v1/migrations/${name(id)}`, answer: Migration, limitMs: PLAN_LIMIT_MS }),
  control: (client: Client, id: string, body: ControlOptions) =>
    client.call({ method: 'PATCH', path: `/v1/migrations/${name(id)}`, body, answer: Migration }),
  verify: (client: Client, id: string) =>
    client.call({ method: 'POST', path: `/v1/migrations/${name(id)}/verify`, answer: Migration }),
  failover: (client: Client, id: string, cleanup: boolean) =>
    client.call({
      method: 'POST',
      path: `/v1/migrations/${name(id)}/failover`,
      body: { cleanup },
      answer: Migration,
      limitMs: PLAN_LIMIT_MS,
    }),
  recover: (client: Client, id: string, at: Side, acceptLoss: boolean) =>
    client.call({
      method: 'POST',
      path: `/v1/migrations/${name(id)}/recover`,
      body: { at, acceptLoss },
      answer: Migration,
      limitMs: PLAN_LIMIT_MS,
    }),
  createToken: (client: Client, body: { uses?: number; ttlSeconds?: number }) =>
    client.call({ method: 'POST', path: '/v1/tokens', body, answer: CreateTokenResponse }),
};

/** The calls of the 2015 guide. */
export const originalApi = {
  list: (client: Client) =>
    client.call({ method: 'GET', path: '/cargo', answer: z.record(z.string(), z.array(ContainerSummary)) }),
  migrate: (client: Client, body: { source: string; target: string; container: string; rootfs: boolean }) =>
    client.call({ method: 'POST', path: '/cargo', body, answer: Migration, limitMs: WHOLE_MIGRATION_LIMIT_MS }),
  replication: (client: Client, container: string) =>
    client.call({ method: 'GET', path: `/cargo/replication/${name(container)}`, answer: Replication }),
  failover: (client: Client, target: string, container: string) =>
    client.call({
      method: 'POST',
      path: `/cargo/failover/${name(target)}/${name(container)}`,
      answer: z.unknown(),
      limitMs: PLAN_LIMIT_MS,
    }),
};
