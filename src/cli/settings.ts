import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { CargoError } from '../api/cargo-error.ts';
import type { Config } from './config-file.ts';

/** Which server to speak to and how to trust it. `ca` is PEM text; null means the public authorities. */
export type Settings = { server: URL; ca: string | null; token: string | null };
export type SettingFlags = { server?: string; ca?: string };

const DEFAULT_PORT = 5000;

/**
 * Flags go before the environment, the environment before the file that `cargoctl login` wrote. The file's token is used
 * only for the file's server or under the file's CA, so that no other server is ever shown it.
 * @throws CargoError BAD_REQUEST when no server is known or a setting is malformed
 */
export function resolveSettings(flags: SettingFlags, env: NodeJS.ProcessEnv, config: Config | null): Settings {
  const address = flags.server ?? nonEmpty(env['CARGO_SERVER']) ?? config?.server;
  if (address === undefined) {
    throw new CargoError(
      'BAD_REQUEST',
      'no server is known: pass --server HOST:PORT, set CARGO_SERVER, or run `cargoctl login`',
    );
  }
  const server = parseServer(address);
  const caPath = flags.ca ?? nonEmpty(env['CARGO_CA']);
  const ca = caPath === undefined ? (config?.ca ?? null) : readCa(caPath);
  return { server, ca, token: nonEmpty(env['CARGO_TOKEN'])?.trim() ?? tokenOf(config, server, ca) };
}

function tokenOf(config: Config | null, server: URL, ca: string | null): string | null {
  if (config === null) return null;
  const sameServer = parseServer(config.server).href === server.href;
  const sameCa = config.ca !== null && config.ca === ca && server.protocol === 'https:';
  return sameServer || sameCa ? config.token : null;
}

/**
 * `https://h:p`, `h:p` (https) or, on loopback only, `http://127.0.0.1:p`.
 * @throws CargoError BAD_REQUEST
 */
export function parseServer(text: string): URL {
  const bare = !text.includes('://');
  const url = URL.parse(bare ? `https://${text.trim()}` : text.trim());
  if (url === null || !['https:', 'http:'].includes(url.protocol) || !isBareOrigin(url)) {
    throw new CargoError('BAD_REQUEST', `"${text}" is no server address: write HOST:PORT or https://HOST:PORT`);
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw new CargoError('BAD_REQUEST', `plain http is for loopback alone: write https://${url.host}`);
  }
  if (bare && url.port === '' && !/:\d+\s*$/.test(text)) url.port = String(DEFAULT_PORT);
  return url;
}

function isBareOrigin(url: URL): boolean {
  return url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' && url.password === '';
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'));
}

/** @throws CargoError BAD_REQUEST when there is no PEM certificate at the path */
export function readCa(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new CargoError('BAD_REQUEST', `the CA file ${path} can't be read: ${(cause as Error).message}`, { cause });
  }
  if (!text.includes('-----BEGIN CERTIFICATE-----')) {
    throw new CargoError(
      'BAD_REQUEST',
      `${path} holds no PEM certificate; CARGO_CA and --ca take the path of the server's CA file`,
    );
  }
  return text;
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === '' ? undefined : value;
}
