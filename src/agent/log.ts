import { type DestinationStream, destination, type Logger, pino } from 'pino';

/** JSON lines on standard error. Nothing that is logged holds a secret. */
export function createLog(level: string): Logger {
  return pino({ name: 'cargo-agent', level, timestamp: pino.stdTimeFunctions.isoTime }, standardError());
}

/** A line that can't be written, because the disk of the log is full, must not end the program. */
function standardError(): DestinationStream {
  const stream = destination({ dest: 2, sync: true });
  stream.on('error', () => undefined);
  return stream;
}
