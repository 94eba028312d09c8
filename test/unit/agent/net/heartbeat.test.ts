import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { z } from 'zod';
import { keepBeating } from '../../../../src/agent/net/heartbeat.ts';
import type { Heartbeat, HeartbeatAnswer } from '../../../../src/api/host.ts';

const heartbeat = { facts: {}, containers: null } as unknown as Heartbeat;

/** What the agent is told by an answer that takes so long. */
async function toldBy(answer: HeartbeatAnswer, tookMs: number): Promise<HeartbeatAnswer> {
  const stop = new AbortController();
  const told = Promise.withResolvers<HeartbeatAnswer>();
  let nowMs = 1_000;
  const post = async <T>(_path: string, _body: unknown, schema: z.ZodType<T>): Promise<T> => {
    nowMs += tookMs;
    return schema.parse(answer);
  };
  const beating = keepBeating({
    server: () => ({ post }),
    beat: async () => heartbeat,
    onAnswer: (heard) => told.resolve(heard),
    onRefusal: async () => undefined,
    log: pino({ level: 'silent' }),
    signal: stop.signal,
    now: () => nowMs,
  });
  const heard = await told.promise;
  stop.abort();
  await beating;
  return heard;
}

const revoked = { digest: 'd', hostIds: ['11111111-1111-4111-8111-111111111111'] };

test('what may run is believed of an answer that came at once', async () => {
  expect(await toldBy({ term: 1, revoked, mayRun: ['m'] }, 3_900)).toEqual({ term: 1, revoked, mayRun: ['m'] });
});

test('an answer that came so late that the host may have been given up since starts nothing, the rest of it counts', async () => {
  expect(await toldBy({ term: 1, revoked, mayRun: ['m'] }, 4_000)).toEqual({ term: 1, revoked, mayRun: [] });
});
