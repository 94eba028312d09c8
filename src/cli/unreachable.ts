import { CargoError } from '../api/cargo-error.ts';
import { formatSeconds } from './quantity.ts';

const NOT_TRUSTED = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
]);
const NOT_TLS = new Set(['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG']);
const REASONS: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'the name is unknown',
  EAI_AGAIN: 'the name server does not answer',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to it',
  ETIMEDOUT: 'the connection timed out',
  UND_ERR_CONNECT_TIMEOUT: 'the connection timed out',
};

/** What a failed exchange with the server means to the user, and what to do about it. */
export function unreachable(thrown: unknown, server: URL, limitMs: number): CargoError {
  const code = codeOf(thrown);
  const at = server.origin;
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
    const message = `the server at ${at} did not answer within ${formatSeconds(limitMs / 1000)}`;
    return new CargoError('TIMED_OUT', message, { cause: thrown });
  }
  return new CargoError('SERVER_UNREACHABLE', sentence(thrown, code, server), { cause: thrown });
}

function sentence(thrown: unknown, code: string, server: URL): string {
  const at = server.origin;
  if (NOT_TRUSTED.has(code)) {
    return `the certificate of ${at} is not signed by the CA that cargoctl knows (${code}): pass the server's CA file with --ca or CARGO_CA, or run \`cargoctl login\``;
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `what answers at ${at} is not the server its certificate should name: check the address and port`;
  }
  if (code.startsWith('CERT_'))
    return `the certificate of ${at} can't be used (${code}): check the clocks of both machines`;
  if (NOT_TLS.has(code)) {
    return `${at} does not speak TLS: if a cargo-server listens there in plain on loopback, write http://${server.host}`;
  }
  const reason = REASONS[code] ?? (thrown instanceof Error ? thrown.message : String(thrown));
  const tlsHint =
    server.protocol === 'http:' && REASONS[code] === undefined ? '; if it speaks TLS, write https://' : '';
  return `no cargo-server can be reached at ${at} (${reason}): is it running, and is the address right?${tlsHint}`;
}

function codeOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return '';
  if ('code' in thrown && typeof thrown.code === 'string') return thrown.code;
  return codeOf(thrown.cause);
}
