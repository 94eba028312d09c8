import { z } from 'zod';
import type { Span } from '../demo/gap.ts';
import type { HostName, LabPair } from './lab-pair.ts';

/**
 * Where the time of one downtime went, in seconds. The client says when it began and ended, the Docker daemons of both
 * hosts (their event logs) what lies between: `stop` until the container (the only one that runs) has ended, `between` until
 * Docker says that it has been started, `answer` until a row is acknowledged.
 */
export type Timeline = { whole: number; stop: number; between: number; answer: number };

const DockerEvent = z.object({ Action: z.string(), timeNano: z.number() });

/** `gap` in ms of this process's monotonic clock; the hosts share this machine's clock. */
export async function timelineOf(pair: LabPair, gap: Span, hosts: { from: HostName; to: HostName }): Promise<Timeline> {
  const [beganMs, endedMs] = [gap.from + performance.timeOrigin, gap.to + performance.timeOrigin];
  const [there, here] = await Promise.all([hosts.from, hosts.to].map((host) => eventsOf(pair, host, beganMs, endedMs)));
  const dieMs = there?.find(({ Action }) => Action === 'die')?.timeNano ?? Number.NaN;
  const startMs = here?.findLast(({ Action }) => Action === 'start')?.timeNano ?? Number.NaN;
  return {
    whole: (endedMs - beganMs) / 1000,
    stop: (dieMs / 1e6 - beganMs) / 1000,
    between: (startMs - dieMs) / 1e9,
    answer: (endedMs - startMs / 1e6) / 1000,
  };
}

async function eventsOf(
  pair: LabPair,
  host: HostName,
  fromMs: number,
  toMs: number,
): Promise<z.infer<typeof DockerEvent>[]> {
  const since = ['--since', (fromMs / 1000).toFixed(3), '--until', (toMs / 1000).toFixed(3)];
  const filters = ['--filter', 'type=container', '--filter', 'event=die', '--filter', 'event=start'];
  const lines = await pair.exec(host, 'docker', 'events', ...since, ...filters, '--format', '{{json .}}');
  return lines
    .split('\n')
    .filter(Boolean)
    .map((line) => DockerEvent.parse(JSON.parse(line)));
}
