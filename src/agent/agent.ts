import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { CargoError } from '../api/cargo-error.ts';
import type { Heartbeat, HeartbeatAnswer } from '../api/host.ts';
import type { ContainerModule } from './container/module.ts';
import { openDataDir } from './data-dir.ts';
import { allHandlers } from './handlers.ts';
import { keepAllProtected } from './keep-protected.ts';
import type { MigrationRecord } from './migrations/record.ts';
import { RecordStore } from './migrations/record-store.ts';
import type { SourcePeer } from './migrations/step-context.ts';
import { StepRunner } from './migrations/step-runner.ts';
import type { ReceiveRound, SendRound, VerifyAtSource, VerifyAtTarget } from './migrations/volume-rounds.ts';
import { AdvertisedAddress, formatAddress, type ListenAddress } from './net/advertised-address.ts';
import { buildAgentServer, renewServer } from './net/agent-server.ts';
import type { AgentServer } from './net/agent-server-parts.ts';
import { keepBeating } from './net/heartbeat.ts';
import { HostView } from './net/host-view.ts';
import { type Credentials, HostIdentity } from './net/identity.ts';
import { ensureJoined } from './net/join.ts';
import { connectToSource } from './net/peer.ts';
import { Rejoin } from './net/rejoin.ts';
import { keepRenewed } from './net/renewal.ts';
import { ServedRounds } from './net/served-rounds.ts';
import { ServerClient } from './net/server-client.ts';
import { Trust } from './net/trust.ts';
import type { ChangeLog } from './volume/index.ts';

const CLOSE_LIMIT_MS = 10_000;

export type AgentOptions = {
  server: URL;
  joinTokenFile?: string;
  listen: ListenAddress;
  advertise?: ListenAddress;
  dataDir: string;
  name: string;
  /** What the agent says it can do, for tests of a version that can do less. */
  abilities?: readonly string[];
  log: Logger;
};

/** What the agent is made of besides its shell. */
export type AgentParts = {
  container: ContainerModule;
  volume: {
    sendRound: SendRound;
    receiveRound: ReceiveRound;
    verifyAtSource: VerifyAtSource;
    verifyAtTarget: VerifyAtTarget;
    followChanges?: (path: string) => ChangeLog;
    auditChanges?: boolean;
  };
};

/**
 * Joins the server if need be, then serves and sends heartbeats until the signal aborts.
 * @throws CargoError when it can't begin: data directory in use, join refused, address taken
 */
export async function runAgent(options: AgentOptions, parts: AgentParts, signal: AbortSignal): Promise<void> {
  const { log, server, listen, name } = options;
  await using dataDir = await openDataDir(options.dataDir);
  const identity = await HostIdentity.open(dataDir.identityFile);
  const trust = await Trust.open(dataDir.trustFile);
  const records = await RecordStore.open(dataDir.migrations, log);
  const view = new HostView(
    parts.container,
    new AdvertisedAddress(listen, options.advertise, server),
    options.abilities,
    () => heldIn(records),
  );
  const facts = (waiting: AbortSignal) => view.facts(waiting);
  const join = { server, tokenFile: options.joinTokenFile, name, identity, facts, log, signal };
  const connection = new Connection(server, await ensureJoined(join));

  const { sendRound, verifyAtSource, followChanges, auditChanges } = parts.volume;
  const served = { send: sendRound, verify: verifyAtSource, followChanges, auditChanges: auditChanges === true };
  const rounds = new ServedRounds({ ...served, records, log });
  const steps = new StepRunner({
    records,
    handlers: allHandlers(parts.container, parts.volume, rounds),
    sourcePeer: (record) => sourceOf(record, trust, () => connection.credentials),
    log,
  });
  const { credentials } = connection;
  const shell = { credentials, view, container: parts.container, records, steps, rounds, trust, log };
  const agentServer = buildAgentServer(shell);
  const rejoin = new Rejoin(join);
  const onRenewed = (renewed: Credentials): void => {
    connection.renew(renewed);
    renewServer(agentServer, renewed);
  };
  const run = randomUUID();
  const beat = async (waiting: AbortSignal): Promise<Heartbeat> => {
    const migrations = records.whole().map(({ id, epoch }) => ({ id, epoch }));
    return { ...(await view.heartbeat(waiting)), migrations, run, revokedDigest: trust.revokedDigest };
  };
  const onAnswer = async (answer: HeartbeatAnswer): Promise<void> => {
    await trust.learn(answer);
    for (const { id } of records.whole().filter(({ peer }) => peer !== null && trust.isRevoked(peer.hostId))) {
      await rounds.end(id);
    }
    for (const id of answer.mayRun) void letGo(steps, parts.container, id, log);
  };
  /** A host that the server doesn't take for its own joins as soon as there is a token for it. */
  const onRefusal = async ({ code }: CargoError): Promise<void> => {
    const joined = code === 'HOST_REMOVED' || code === 'HOST_NOT_FOUND' ? await rejoin.attempt() : null;
    if (joined !== null) onRenewed(joined);
  };
  try {
    await listenOn(agentServer, listen);
    log.info({ hostId: identity.hostId, name, listen: formatAddress(listen) }, 'cargo-agent serves');
    await Promise.all([
      keepBeating({ server: () => connection.client, beat, onAnswer, onRefusal, log, signal }),
      keepRenewed({
        identity,
        server: () => connection.client,
        onRenewed,
        rejoin: () => rejoin.attempt(),
        log,
        signal,
      }),
      keepAllProtected({ records, steps, container: parts.container, log }, signal),
    ]);
  } finally {
    log.info('cargo-agent is stopping');
    const ends = [steps.close(CLOSE_LIMIT_MS), rounds.close()];
    await withinLimit(Promise.all(ends).then(() => agentServer.close()));
    await connection.client[Symbol.asyncDispose]();
  }
}

function heldIn(records: RecordStore): string[] {
  return records.whole().flatMap(({ id, target }) => (target?.held === true ? [id] : []));
}

/** What fails is tried again after the next heartbeat. */
async function letGo(steps: StepRunner, container: ContainerModule, id: string, log: Logger): Promise<void> {
  try {
    await steps.whenIdle(id, (context) => container.letGo(context));
  } catch (error) {
    log.warn({ migration: id, err: error }, 'a container that may run again could not be let go');
  }
}

/** The connection to the server; made anew when the certificate was renewed. */
class Connection {
  readonly #server: URL;
  credentials: Credentials;
  client: ServerClient;

  constructor(server: URL, credentials: Credentials) {
    this.#server = server;
    this.credentials = credentials;
    this.client = new ServerClient(server, { kind: 'mutual', credentials });
  }

  renew(credentials: Credentials): void {
    const replaced = this.client;
    this.credentials = credentials;
    this.client = new ServerClient(this.#server, { kind: 'mutual', credentials });
    void replaced[Symbol.asyncDispose]();
  }
}

async function listenOn(server: AgentServer, listen: ListenAddress): Promise<void> {
  try {
    await server.listen({ host: listen.host === '' ? '0.0.0.0' : listen.host, port: listen.port });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CargoError('BAD_REQUEST', `can't listen on ${formatAddress(listen)}: ${reason}`, { cause: error });
  }
}

function sourceOf({ id, peer }: MigrationRecord, trust: Trust, credentials: () => Credentials): SourcePeer {
  if (peer === null || peer.address === null) {
    throw new CargoError('WRONG_PHASE', `migration ${id} was not staged here: its source is not known`);
  }
  return connectToSource({
    migrationId: id,
    peer: { hostId: peer.hostId, address: peer.address },
    credentials,
    refuseRevoked: (hostId) => trust.refuseRevoked(hostId),
  });
}

/** A part that hangs while it ends doesn't keep the agent alive: what matters is on disk. */
async function withinLimit(work: Promise<unknown>): Promise<void> {
  const limit = new AbortController();
  await Promise.race([work, delay(CLOSE_LIMIT_MS, undefined, { signal: limit.signal }).catch(() => {})]);
  limit.abort();
}
