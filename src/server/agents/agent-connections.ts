import { Pool } from 'undici';
import type { Host } from '../../api/host.ts';
import { checkHostIdentity } from '../pki/identity.ts';
import type { Credentials } from '../pki/server-certificate.ts';

const CONNECT_LIMIT_MS = 3_000;
/** Less than agents keep them, and more than the pause of who looks once a minute. */
const KEEP_ALIVE_MS = 65_000;
/** Long polls of several migrations and the lists of containers at the same time. */
const CONNECTIONS_PER_HOST = 16;

/** Connections to agents, kept alive, one pool for each host at the address where it is now. */
export class AgentConnections {
  #credentials: Credentials;
  readonly #pools = new Map<string, { address: string; pool: Pool }>();

  constructor(credentials: Credentials) {
    this.#credentials = credentials;
  }

  /** New connections are made with these; what is under way on the others is brought to its end. */
  renew(credentials: Credentials): void {
    this.#credentials = credentials;
    for (const { pool } of this.#pools.values()) void pool.close();
    this.#pools.clear();
  }

  to(host: Host): Pool {
    const known = this.#pools.get(host.id);
    if (known?.address === host.dataAddress) return known.pool;
    void known?.pool.destroy();
    const pool = this.#open(host);
    this.#pools.set(host.id, { address: host.dataAddress, pool });
    return pool;
  }

  hangUp(hostId: string): void {
    void this.#pools.get(hostId)?.pool.destroy();
    this.#pools.delete(hostId);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map(({ pool }) => pool.destroy()));
    this.#pools.clear();
  }

  #open(host: Host): Pool {
    const { ca, certificate, key } = this.#credentials;
    return new Pool(`https://${host.dataAddress}`, {
      connections: CONNECTIONS_PER_HOST,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connect: {
        ca,
        cert: certificate,
        key,
        minVersion: 'TLSv1.3',
        checkServerIdentity: checkHostIdentity(host.id),
        // Node does not check the identity again when a session is resumed.
        maxCachedSessions: 0,
        timeout: CONNECT_LIMIT_MS,
      },
    });
  }
}
