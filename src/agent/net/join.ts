import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import type { HostFacts } from '../../api/host.ts';
import { type JoinRequest, JoinResponse, type JoinToken, parseJoinToken } from '../../api/join.ts';
import type { Credentials, HostIdentity } from './identity.ts';
import { RAN_OUT } from './ran-out.ts';
import { ServerClient } from './server-client.ts';

const CaResponse = z.object({ ca: z.string() });
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;

export type JoinOptions = {
  server: URL;
  tokenFile: string | undefined;
  name: string;
  identity: HostIdentity;
  facts: (signal: AbortSignal) => Promise<HostFacts>;
  log: Logger;
  signal: AbortSignal;
};

/**
 * The host's credentials: those it has, or new ones from the server for the join token. Waits for a server that can't be
 * reached yet; a refusal is final.
 * @throws CargoError JOIN_REFUSED, HOST_NAME_TAKEN, BAD_REQUEST (no or a wrong token file)
 */
export async function ensureJoined(options: JoinOptions): Promise<Credentials> {
  const known = options.identity.credentials();
  if (known !== null) return known;
  if (options.identity.hasJoined) options.log.error(RAN_OUT);
  const token = await readToken(options.tokenFile, options.identity);
  const credentials = await untilReachable(options, () => joinWith(options, token));
  options.log.info({ hostId: options.identity.hostId, name: options.name }, 'joined the server');
  return credentials;
}

async function readToken(path: string | undefined, { hasJoined }: HostIdentity): Promise<string> {
  if (path === undefined) {
    const why = hasJoined ? 'the certificate of this host ran out' : 'this host has not joined yet';
    throw new CargoError('BAD_REQUEST', `${why}: give a join token with --join-token-file`);
  }
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new CargoError('BAD_REQUEST', `the join token can't be read from ${path}`, { cause: error });
  }
}

/**
 * One try to join. A host whose id was removed takes a new one and joins with that.
 * @throws CargoError BAD_REQUEST (no join token), JOIN_REFUSED, HOST_NAME_TAKEN, SERVER_UNREACHABLE
 */
export async function joinWith(options: JoinOptions, text: string): Promise<Credentials> {
  const token = parseJoinToken(text);
  try {
    return await joinOnce(options, token);
  } catch (error) {
    if (!(error instanceof CargoError) || error.code !== 'HOST_REMOVED') throw error;
    options.log.warn({ hostId: options.identity.hostId }, 'this host was removed: it joins with a new id');
    await options.identity.startAnew();
    return joinOnce(options, token);
  }
}

async function joinOnce(options: JoinOptions, token: JoinToken): Promise<Credentials> {
  const ca = await fetchCa(options, token);
  await using server = new ServerClient(options.server, { kind: 'ca', ca });
  const request: JoinRequest = {
    tokenId: token.id,
    tokenSecret: token.secret,
    hostId: options.identity.hostId,
    name: options.name,
    csr: options.identity.certificateRequest(),
    facts: await options.facts(options.signal),
  };
  const { certificate } = await server.post('/v1/join', request, JoinResponse, options.signal);
  return await options.identity.join({ certificate, ca });
}

/** The one call that is verified by nothing, until its answer is compared with what the token says. Sends nothing secret. */
async function fetchCa({ server, signal }: JoinOptions, token: JoinToken): Promise<string> {
  await using unverified = new ServerClient(server, { kind: 'unverified' });
  const { ca } = await unverified.get('/v1/ca', CaResponse, signal);
  if (sha256OfDer(ca) === token.caSha256) return ca;
  const message = `${server.origin} is not the server that the join token was made by (its CA is another): check --server`;
  throw new CargoError('JOIN_REFUSED', message);
}

function sha256OfDer(pem: string): string | null {
  try {
    return createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');
  } catch {
    return null;
  }
}

async function untilReachable<T>({ log, signal }: JoinOptions, attempt: () => Promise<T>): Promise<T> {
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof CargoError) || !error.handling.retry) throw error;
      log.warn({ reason: error.message, waitMs }, 'joining will be tried again');
    }
    await delay(waitMs, undefined, { signal });
  }
}
