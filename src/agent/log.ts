import { destination, type Logger, pino } from 'pino';

/** JSON lines on standard error. Nothing that is logged holds a secret. */
export function createLog(level: string): Logger {
  return pino(
    { name: 'cargo-agent', level, timestamp: pino.stdTimeFunctions.isoTime },
    destination({ dest: 2, sync: true }),
  );
}
