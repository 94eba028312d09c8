import { z } from 'zod';

/** What an agent of this version can do; server and peers check names, never versions. */
export const abilities = ['precopy', 'sealed-frames', 'image-transfer', 'gate-volumes'] as const;

/** What a host has besides whose kernel has pre-content events (Linux 6.14), and whose agent knows how to use them. */
export const LAZY = 'lazy';

export const HostId = z.uuid().describe('Made at the first start of the agent, kept for its life.');
export const HostName = z
  .string()
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/, 'a host name has 1 to 63 letters, digits, dots, dashes or underscores');

/** A container as `GET /containers/json` of the Docker Engine API shows it; unknown fields pass through. */
export const ContainerSummary = z.looseObject({
  Id: z.string(),
  Names: z.array(z.string()),
  Image: z.string(),
  Command: z.string(),
  Created: z.number(),
  State: z.string().optional(),
  Status: z.string(),
  Ports: z.array(z.looseObject({ PrivatePort: z.number(), PublicPort: z.number().optional(), Type: z.string() })),
  Labels: z.record(z.string(), z.string()).nullish(),
});
export type ContainerSummary = z.infer<typeof ContainerSummary>;

/** What an agent says of itself when it joins and with every heartbeat. */
export const HostFacts = z.object({
  dataAddress: z.string().describe('host:port at which server and peers reach the agent.'),
  version: z.string(),
  abilities: z.array(z.string()),
  kernel: z.string(),
  architecture: z.string(),
  dockerVersion: z.string().nullable().describe('null while the Docker daemon does not answer.'),
  dockerRoot: z.string().nullable(),
  storageDriver: z.string().nullable(),
});
export type HostFacts = z.infer<typeof HostFacts>;

/** A migration that an agent has a record of, and the highest epoch under which it was told anything of it. */
export const KnownMigration = z.object({ id: z.string(), epoch: z.int() });
export type KnownMigration = z.infer<typeof KnownMigration>;

export const Heartbeat = z.object({
  facts: HostFacts,
  containers: z.array(ContainerSummary).nullable(),
  migrations: z.array(KnownMigration).optional().describe('All that the agent has a record of.'),
  revokedDigest: z.string().optional().describe('Of the list of removed hosts that the agent was last told.'),
  run: z
    .string()
    .optional()
    .describe('Of the agent’s process: where it is another, connections to the last one are dead.'),
  held: z
    .array(z.string())
    .default([])
    .describe('Migrations here whose container waits, since the host booted, for the word that it may run.'),
});
export type Heartbeat = z.infer<typeof Heartbeat>;

export const HeartbeatAnswer = z.object({
  mayRun: z
    .array(z.string())
    .default([])
    .describe('Those of the held migrations whose container is still at home on this host.'),
  term: z
    .int()
    .default(0)
    .describe('Grows when a server is restored from a backup; an agent obeys the highest it knows.'),
  revoked: z
    .object({ digest: z.string(), hostIds: z.array(HostId) })
    .nullish()
    .describe('Hosts that were removed, whenever the agent’s list is another: their certificates count for nothing.'),
});
export type HeartbeatAnswer = z.infer<typeof HeartbeatAnswer>;

/** Header of every call of a server to an agent: its term, see HeartbeatAnswer. */
export const TERM_HEADER = 'cargo-server-term';

/** A registered host as the REST API shows it. */
export const Host = HostFacts.extend({
  id: HostId,
  name: HostName,
  status: z.enum(['ready', 'docker-down', 'away']),
  joinedAt: z.iso.datetime(),
  lastSeenAt: z.iso.datetime(),
  certificateEndsAt: z.iso.datetime().optional().describe('Of the certificate that the agent last showed.'),
  renewalOverdue: z
    .boolean()
    .optional()
    .describe('The certificate should have been renewed by now: the agent’s log says why it was not.'),
});
export type Host = z.infer<typeof Host>;

/** Answer of `DELETE /v1/hosts/<host>`. */
export const RemovedHost = z.object({
  host: Host,
  kept: z.array(z.string()).describe('Stopped containers that migrations left on the host, by name.'),
});
export type RemovedHost = z.infer<typeof RemovedHost>;

/** The containers of one host; `stale` when the agent did not answer in time and these are the last known ones. */
export const HostContainers = z.object({
  host: Host,
  stale: z.boolean(),
  containers: z.array(ContainerSummary),
});
export type HostContainers = z.infer<typeof HostContainers>;
