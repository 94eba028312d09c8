import type { Logger } from 'pino';
import { CargoError } from '../../api/cargo-error.ts';
import type { JoinRequest, JoinResponse } from '../../api/join.ts';
import type { JoinTokens } from '../auth/join-tokens.ts';
import type { Authority } from '../pki/authority.ts';
import type { HostNames } from './host-names.ts';
import type { HostRecord } from './record.ts';
import type { HostRegistry } from './registry.ts';
import { hostRemoved } from './removal.ts';
import type { Revocations } from './revocations.ts';

export type EnrolmentParts = {
  authority: Authority;
  tokens: JoinTokens;
  names: HostNames;
  registry: HostRegistry;
  revocations: Revocations;
  log: Logger;
};

/**
 * How hosts come in and keep their certificates. The id of a registered host belongs to who has its key: a join with
 * that id must show its valid certificate, or bring the same key and a token.
 */
export class Enrolment {
  readonly #parts: EnrolmentParts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: EnrolmentParts) {
    this.#parts = parts;
  }

  /**
   * `peerHostId`: who the caller is by its client certificate, if by any. One join at a time, since a join is several
   * writes.
   * @throws CargoError JOIN_REFUSED, HOST_REMOVED (the agent must take a new id), HOST_NAME_TAKEN, BAD_REQUEST (the csr)
   */
  join(request: JoinRequest, peerHostId: string | null): Promise<JoinResponse> {
    const join = this.#last.then(() => this.#join(request, peerHostId));
    this.#last = join.catch(() => undefined);
    return join;
  }

  /** A new certificate for a host that has a valid one. @throws CargoError HOST_NOT_FOUND, BAD_REQUEST */
  async renew(hostId: string, csr: string): Promise<JoinResponse> {
    const { authority, registry, log } = this.#parts;
    await registry.get(hostId);
    const { pem, keySha256 } = await authority.issueHost(hostId, csr);
    const record = registry.record(hostId);
    if (record !== null && record.keySha256 !== keySha256) await registry.keep({ ...record, keySha256 });
    log.info({ hostId }, 'certificate renewed');
    return { certificate: pem, ca: authority.pem };
  }

  async #join(request: JoinRequest, peerHostId: string | null): Promise<JoinResponse> {
    const { authority, tokens, names, registry, revocations, log } = this.#parts;
    const before = registry.record(request.hostId);
    const proven = before !== null && peerHostId === request.hostId;
    if (!proven) await tokens.verify(request.tokenId, request.tokenSecret);
    if (revocations.has(request.hostId)) throw hostRemoved();
    const { pem, keySha256 } = await authority.issueHost(request.hostId, request.csr);
    const sameKey = before?.keySha256 === keySha256;
    if (before !== null && !proven && !sameKey) throw impersonation(request.hostId);
    const newName = await names.claim(request.name, request.hostId);
    try {
      const answerWasLost = sameKey && before.joinedWith === request.tokenId;
      if (!proven && !answerWasLost) await tokens.use(request.tokenId, request.tokenSecret);
      await registry.keep(joined(request, before, keySha256, proven));
    } catch (error) {
      if (newName) await names.release(request.name, request.hostId);
      throw error;
    }
    if (before !== null && before.name !== request.name) await names.release(before.name, request.hostId);
    log.info({ hostId: request.hostId, host: request.name, rejoin: before !== null }, 'host joined');
    return { certificate: pem, ca: authority.pem };
  }
}

function joined(request: JoinRequest, before: HostRecord | null, keySha256: string, proven: boolean): HostRecord {
  const now = new Date().toISOString();
  return {
    id: request.hostId,
    name: request.name,
    facts: request.facts,
    joinedAt: before?.joinedAt ?? now,
    lastSeenAt: now,
    keySha256,
    joinedWith: proven && before !== null ? before.joinedWith : request.tokenId,
  };
}

function impersonation(hostId: string): CargoError {
  return new CargoError(
    'JOIN_REFUSED',
    `host id ${hostId} belongs to another agent: remove this agent's data directory, then it gets an id of its own`,
  );
}
