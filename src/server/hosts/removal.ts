import type { Logger } from 'pino';
import { CargoError } from '../../api/cargo-error.ts';
import type { RemovedHost } from '../../api/host.ts';
import type { JoinTokens } from '../auth/join-tokens.ts';
import type { MigrationService } from '../migrations/service.ts';
import type { HostNames } from './host-names.ts';
import type { HostRegistry } from './registry.ts';
import type { Revocations } from './revocations.ts';

export type RemovalParts = {
  registry: HostRegistry;
  names: HostNames;
  tokens: JoinTokens;
  revocations: Revocations;
  migrations: Pick<MigrationService, 'leave'>;
  log: Logger;
};

/**
 * Takes a host out of the registry. Its certificate is void before anything is forgotten, so that a crash on the way
 * leaves no host that may come in again; the next start forgets the rest. The token it joined with, which it may still
 * have, is void too.
 * @throws CargoError HOST_NOT_FOUND, WRONG_PHASE while a migration needs the host
 */
export async function removeHost(
  parts: RemovalParts,
  reference: string,
  options: { force: boolean },
): Promise<RemovedHost> {
  const { registry, names, tokens, revocations, migrations, log } = parts;
  const host = await registry.resolve(reference);
  const kept = await migrations.leave(host, options);
  await revocations.add(host.id);
  const joinedWith = registry.record(host.id)?.joinedWith;
  if (joinedWith !== undefined) await tokens.drop(joinedWith);
  await registry.forget(host.id);
  await names.release(host.name, host.id);
  log.info({ hostId: host.id, host: host.name }, 'host removed, its certificate is void');
  return { host, kept };
}

/** What an agent is told whose host was removed. */
export function hostRemoved(): CargoError {
  return new CargoError(
    'HOST_REMOVED',
    'this host was removed from Cargo and its certificate is void: to take it in again, make a token with ' +
      "`cargoctl token create` and put it into the agent's --join-token-file; it joins by itself and gets a new id",
  );
}
