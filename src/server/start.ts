import type { Logger } from 'pino';
import { CargoError } from '../api/cargo-error.ts';
import { AgentClient } from './agents/agent-client.ts';
import { loadApiTokens } from './auth/api-tokens.ts';
import { FailedAttempts } from './auth/failed-attempts.ts';
import { makeFirstJoinToken } from './auth/first-join-token.ts';
import { JoinTokens } from './auth/join-tokens.ts';
import { serveSnapshots } from './backup/snapshot-socket.ts';
import { buildServer, renewServer, type Transport } from './build-server.ts';
import { prepareDataDir, removeLeftovers } from './data-dir.ts';
import { Enrolment } from './hosts/enrolment.ts';
import { HostNames } from './hosts/host-names.ts';
import { HostRegistry } from './hosts/registry.ts';
import { Revocations } from './hosts/revocations.ts';
import type { ListenAddress } from './listen-address.ts';
import { Metrics } from './metrics.ts';
import { createMigrations } from './migrations/index.ts';
import { DEFAULT_PER_HOST } from './migrations/turns.ts';
import { loadAuthority } from './pki/authority.ts';
import { type Credentials, loadServerCertificate, serverNames } from './pki/server-certificate.ts';
import { endOf, keepServerRenewed } from './pki/server-renewal.ts';
import type { App, ServerParts } from './routes/app.ts';
import { serverTerm } from './store/restored.ts';
import { SqliteStore } from './store/sqlite-store.ts';

export type StartOptions = {
  listen: ListenAddress;
  plainHttp: ListenAddress | null;
  dataDir: string;
  /** More names and addresses under which clients reach this server. */
  names: readonly string[];
  /** Of the certificates that it issues, its own too; a year unless said otherwise. */
  certificateLifeMs?: number;
  /** So many migrations copy from or to one host at once. */
  perHost?: number;
  log: Logger;
};

export type RunningServer = { address: ListenAddress; plainAddress: ListenAddress | null; close(): Promise<void> };

/**
 * A server that listens. What fails half-way leaves nothing open.
 * @throws CargoError STORE_CONFLICT when another server works on the same data directory
 */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const { log, perHost = DEFAULT_PER_HOST } = options;
  await using undo = new AsyncDisposableStack();
  const dir = await prepareDataDir(options.dataDir);
  const store = undo.adopt(new SqliteStore(dir.database), (open) => open.close());
  await removeLeftovers(options.dataDir);
  const authority = await loadAuthority(dir, options.certificateLifeMs);
  const names = serverNames(options.listen.host, options.names);
  const credentials = await loadServerCertificate(dir, authority, names);
  const joinTokens = new JoinTokens(store, authority.sha256);
  const apiTokens = await loadApiTokens(dir);
  await makeFirstJoinToken(store, joinTokens, dir);

  const term = await serverTerm(store);
  const agents = undo.adopt(new AgentClient(credentials, term), (client) => client.close());
  const ask = agents.containers.bind(agents);
  const onRestart = agents.hangUp.bind(agents);
  const revocations = await Revocations.load(store);
  const hosts = undo.adopt(new HostRegistry({ store, ask, revocations, log, onRestart }), (registry) =>
    registry.close(),
  );
  await hosts.load();
  const records = agents.records.bind(agents);
  const migrations = undo.adopt(createMigrations({ store, hosts, agents, records, log, perHost }), (service) =>
    service.close(),
  );
  const closing = new AbortController();
  let shown = credentials;
  const metrics = new Metrics({ hosts, migrations, certificateEnd: () => endOf(shown) }, closing.signal);
  const hostNames = new HostNames(store);
  const enrolment = new Enrolment({
    authority,
    tokens: joinTokens,
    names: hostNames,
    registry: hosts,
    revocations,
    log,
  });
  const parts: ServerParts = {
    ...{ store, hosts, hostNames, revocations, enrolment, migrations, joinTokens, apiTokens, metrics, log },
    failedTokens: new FailedAttempts(),
    failedJoins: new FailedAttempts(),
    caPem: authority.pem,
    term,
    closing: closing.signal,
  };

  undo.use(await serveSnapshots(dir.backupSocket, store));
  const { app, address } = await listen(undo, parts, { kind: 'tls', credentials }, options.listen);
  const plain = options.plainHttp && (await listen(undo, parts, { kind: 'plain' }, options.plainHttp));
  const renew = (): Promise<Credentials> => loadServerCertificate(dir, authority, names);
  const onRenewed = (renewed: Credentials): void => {
    shown = renewed;
    agents.renew(renewed);
    renewServer(app, renewed);
  };
  void keepServerRenewed({ current: credentials, renew, onRenewed, log, signal: closing.signal });
  await migrations.resume();
  undo.defer(async () => closing.abort(new CargoError('SERVER_UNREACHABLE', 'the server is stopping')));
  const open = undo.move();
  return { address, plainAddress: plain?.address ?? null, close: () => open.disposeAsync() };
}

async function listen(
  undo: AsyncDisposableStack,
  parts: ServerParts,
  transport: Transport,
  { host, port }: ListenAddress,
): Promise<{ app: App; address: ListenAddress }> {
  const app = await buildServer(parts, transport);
  undo.defer(() => app.close());
  try {
    const listenTextResolver = (url: string) => `the API listens at ${url.replace('http://', '')} (${transport.kind})`;
    await app.listen({ host, port, listenTextResolver });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CargoError('BAD_REQUEST', `can't listen on ${host}:${port}: ${reason}`, { cause });
  }
  const bound = app.server.address();
  return { app, address: { host, port: typeof bound === 'object' && bound !== null ? bound.port : port } };
}
