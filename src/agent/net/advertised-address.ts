import { once } from 'node:events';
import { connect, isIPv6 } from 'node:net';
import { CargoError } from '../../api/cargo-error.ts';

const CONNECT_LIMIT_MS = 5_000;
const wildcards = new Set(['0.0.0.0', '::', '']);

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

/**
 * Where others reach this agent: what it listens on or, where that is a wildcard, the address that the machine uses
 * towards the server.
 * @throws CargoError SERVER_UNREACHABLE
 */
export async function advertisedAddress(listen: ListenAddress, server: URL, signal: AbortSignal): Promise<string> {
  if (!wildcards.has(listen.host)) return formatAddress(listen);
  const port = Number(server.port === '' ? 443 : server.port);
  const host = server.hostname.replace(/^\[|\]$/g, '');
  const socket = connect({ host, port });
  try {
    await once(socket, 'connect', { signal: AbortSignal.any([signal, AbortSignal.timeout(CONNECT_LIMIT_MS)]) });
    return formatAddress({ host: socket.localAddress ?? '', port: listen.port });
  } catch (error) {
    throw new CargoError('SERVER_UNREACHABLE', `the server at ${server.origin} can't be reached`, { cause: error });
  } finally {
    socket.destroy();
  }
}
