import { destination, type Logger, pino } from 'pino';

/** JSON lines on standard error. Secrets are struck out wherever they turn up by these names. */
export function createLog(level: string): Logger {
  const secrets = ['authorization', 'token', 'tokenSecret', 'secret', 'privateKey', 'csr'];
  const paths = secrets.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
  return pino(
    { name: 'cargo-server', level, redact: { paths, censor: '[redacted]' }, timestamp: pino.stdTimeFunctions.isoTime },
    destination({ dest: 2, sync: true }),
  );
}
