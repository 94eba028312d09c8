import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6 } from 'node:net';
import { CargoError } from '../../api/cargo-error.ts';

const CONNECT_LIMIT_MS = 5_000;
const wildcards = new Set(['0.0.0.0', '::', '']);
/** An address of the range that RFC 5737 keeps for documents: stands for anywhere outside. */
const OUTSIDE = '192.0.2.1';

export type ListenAddress = { host: string; port: number };

/** `host:port`, `[ipv6]:port` or `:port`. @throws CargoError BAD_REQUEST */
export function parseAddress(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new CargoError('BAD_REQUEST', `"${text}" is no address: write HOST:PORT, e.g. 0.0.0.0:5005 or [::]:5005`);
  }
  return { host: match[1] ?? match[2] ?? '', port };
}

export function formatAddress({ host, port }: ListenAddress): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Where others reach this agent, as server and peers are told. */
export class AdvertisedAddress {
  readonly #listen: ListenAddress;
  readonly #server: URL;
  #known: string | null;

  /** `advertise`: said by the operator; else what the agent listens on counts, unless that is a wildcard. */
  constructor(listen: ListenAddress, advertise: ListenAddress | undefined, server: URL) {
    this.#listen = listen;
    this.#server = server;
    const said = advertise ?? (wildcards.has(listen.host) ? undefined : listen);
    this.#known = said === undefined ? null : formatAddress(said);
  }

  /**
   * Behind a wildcard it is the address that the machine uses towards the server; beside a server on the same machine,
   * the one that it uses towards the outside, since peers can't reach a loopback address.
   * @throws CargoError SERVER_UNREACHABLE
   */
  async get(signal: AbortSignal): Promise<string> {
    this.#known ??= formatAddress({ host: await this.#find(signal), port: this.#listen.port });
    return this.#known;
  }

  async #find(signal: AbortSignal): Promise<string> {
    const towardsServer = await localAddressTowards(this.#server, signal);
    if (!isLoopback(towardsServer)) return towardsServer;
    return (await localAddressTowardsOutside(signal)) ?? towardsServer;
  }
}

async function localAddressTowards(server: URL, signal: AbortSignal): Promise<string> {
  const port = Number(server.port === '' ? 443 : server.port);
  const host = server.hostname.replace(/^\[|\]$/g, '');
  const socket = connect({ host, port });
  try {
    await once(socket, 'connect', { signal: AbortSignal.any([signal, AbortSignal.timeout(CONNECT_LIMIT_MS)]) });
    return (socket.localAddress ?? '').replace(/^::ffff:/, '');
  } catch (error) {
    throw new CargoError('SERVER_UNREACHABLE', `the server at ${server.origin} can't be reached`, { cause: error });
  } finally {
    socket.destroy();
  }
}

/** By the default route; null where there is none. Connecting a datagram socket looks the route up and sends nothing. */
async function localAddressTowardsOutside(signal: AbortSignal): Promise<string | null> {
  const socket = createSocket('udp4');
  try {
    const connected = once(socket, 'connect', {
      signal: AbortSignal.any([signal, AbortSignal.timeout(CONNECT_LIMIT_MS)]),
    });
    socket.connect(9, OUTSIDE);
    await connected;
    return socket.address().address;
  } catch {
    return null;
  } finally {
    socket.close();
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
