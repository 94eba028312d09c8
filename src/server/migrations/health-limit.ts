import { z } from 'zod';
import type { ContainerDefinition } from '../../api/container-definition.ts';

const NS_PER_MS = 1_000_000;
const DOCKER_INTERVAL_NS = 30_000 * NS_PER_MS;
const DOCKER_TIMEOUT_NS = 30_000 * NS_PER_MS;
const DOCKER_RETRIES = 3;
const MARGIN_MS = 30_000;
const LONGEST_MS = 15 * 60_000;

const Inspect = z.object({
  Config: z.object({
    Healthcheck: z
      .object({
        Interval: z.number().optional(),
        Timeout: z.number().optional(),
        StartPeriod: z.number().optional(),
        Retries: z.number().optional(),
      })
      .nullish(),
  }),
});

/**
 * How long a started container may take to be healthy, in ms: until Docker itself would call it unhealthy (start period,
 * then `retries` checks; 0 means Docker's default: Docker Engine API, HealthConfig) and a margin.
 */
export function healthLimitMs(definition: ContainerDefinition): number {
  const check = Inspect.safeParse(definition.inspect).data?.Config.Healthcheck;
  const interval = check?.Interval || DOCKER_INTERVAL_NS;
  const timeout = check?.Timeout || DOCKER_TIMEOUT_NS;
  const retries = check?.Retries || DOCKER_RETRIES;
  const checksMs = ((check?.StartPeriod ?? 0) + retries * (interval + timeout)) / NS_PER_MS;
  return Math.min(LONGEST_MS, Math.ceil(checksMs) + MARGIN_MS);
}
