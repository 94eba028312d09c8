import { CargoError } from '../../api/cargo-error.ts';
import type { Host } from '../../api/host.ts';

const SHORTEST_PREFIX = 8;

/**
 * The host that a person means by its id, its name, its address with or without the port, or the beginning of its id.
 * @throws CargoError HOST_NOT_FOUND
 */
export function resolveHost(hosts: readonly Host[], reference: string): Host {
  const ways: ((host: Host) => boolean)[] = [
    ({ id }) => id === reference.toLowerCase(),
    ({ name }) => name === reference,
    ({ dataAddress }) => dataAddress === reference,
    ({ dataAddress }) => withoutPort(dataAddress) === reference,
    ({ id }) => reference.length >= SHORTEST_PREFIX && id.startsWith(reference.toLowerCase()),
  ];
  for (const way of ways) {
    const [host, ...more] = hosts.filter(way);
    if (host === undefined) continue;
    if (more.length === 0) return host;
    const names = [host, ...more].map(({ name }) => name).join(', ');
    throw new CargoError('HOST_NOT_FOUND', `"${reference}" means several hosts, ${names}: use a name`);
  }
  const known = hosts.map(({ name }) => name).join(', ');
  throw new CargoError(
    'HOST_NOT_FOUND',
    `there is no host "${reference}": ${known === '' ? 'none has joined yet' : `registered are ${known}`}`,
  );
}

/** Of `10.0.0.1:5005` or `[::1]:5005`. */
function withoutPort(address: string): string {
  return address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}
