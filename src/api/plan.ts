import { z } from 'zod';
import { Strategy } from './container-definition.ts';

/** One thing that the pre-flight found. A blocker stops a migration before anything is touched. */
export const Finding = z.object({
  level: z.enum(['blocker', 'warning', 'info']),
  code: z.string().describe('Stable kebab-case name, e.g. `host-port-taken`.'),
  subject: z.string().describe('What it is about: a volume, a path, a port, …'),
  message: z.string().describe('What was found and what to do about it.'),
});
export type Finding = z.infer<typeof Finding>;

export const PlanMount = z.object({
  destination: z.string(),
  kind: z.enum(['volume', 'bind']),
  name: z.string().describe('Volume name, or host path of a bind mount.'),
  files: z.int(),
  bytes: z.number(),
  strategy: Strategy,
  reason: z.string().nullable().describe('Why it is copied before the container starts at the target.'),
});
export type PlanMount = z.infer<typeof PlanMount>;

export const Plan = z.object({
  container: z.string(),
  source: z.string(),
  target: z.string(),
  strategy: Strategy.describe('lazy where at least one mount is.'),
  image: z.object({ reference: z.string(), bytes: z.number(), presentAtTarget: z.boolean() }),
  mounts: z.array(PlanMount),
  findings: z.array(Finding),
  blocked: z.boolean(),
});
export type Plan = z.infer<typeof Plan>;
