import { isIP } from 'node:net';
import { CargoError } from '../api/cargo-error.ts';

export type ListenAddress = { host: string; port: number };

/** `ADDR:PORT` or `[IPv6]:PORT`. @throws CargoError BAD_REQUEST */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^[\]:]+)):(\d{1,5})$/i.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    throw new CargoError('BAD_REQUEST', `${text} is no address to listen on: write ADDR:PORT, e.g. 0.0.0.0:5000`);
  }
  return { host, port };
}

/** Plain HTTP knows no tokens: nobody outside this machine may reach it. @throws CargoError BAD_REQUEST */
export function requireLoopback({ host, port }: ListenAddress): void {
  const loopback = host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
  if (loopback) return;
  throw new CargoError(
    'BAD_REQUEST',
    `plain HTTP is for this machine alone, and ${host} can be reached from others: use --plain-http 127.0.0.1:${port}`,
  );
}
