import type { IncomingHttpHeaders } from 'node:http';
import { CargoError } from '../../api/cargo-error.ts';

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i;

/**
 * Plain HTTP asks for no token, so a web page open in a browser of this machine must not get in: neither under a name
 * that it made point here, nor by a request to another site.
 * @throws CargoError FORBIDDEN
 */
export function refuseForeignPages(headers: IncomingHttpHeaders): void {
  const { host, origin } = headers;
  const foreignOrigin = origin !== undefined && !LOOPBACK.test(origin.replace(/^https?:\/\//, ''));
  if (!LOOPBACK.test(host ?? '') || foreignOrigin || headers['sec-fetch-site'] === 'cross-site') {
    throw new CargoError('FORBIDDEN', 'plain HTTP is for programs on this machine: call 127.0.0.1 or localhost');
  }
}
