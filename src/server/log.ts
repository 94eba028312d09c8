import { type DestinationStream, destination, type Logger, pino } from 'pino';

/** JSON lines on standard error. Secrets are struck out wherever they turn up by these names. */
export function createLog(level: string): Logger {
  const secrets = ['authorization', 'token', 'tokenSecret', 'secret', 'privateKey', 'csr'];
  const paths = secrets.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
  return pino(
    { name: 'cargo-server', level, redact: { paths, censor: '[redacted]' }, timestamp: pino.stdTimeFunctions.isoTime },
    standardError(),
  );
}

/** A line that can't be written, because the disk of the log is full, must not end the program. */
function standardError(): DestinationStream {
  const stream = destination({ dest: 2, sync: true });
  stream.on('error', () => undefined);
  return stream;
}
