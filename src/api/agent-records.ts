import { z } from 'zod';
import { Base, ContainerDefinition } from './container-definition.ts';
import { Failure } from './migration.ts';

/** What came of a step, as far as a server needs it that knows less than the agent. */
const Outcome = z.object({ state: z.enum(['done', 'failed']), output: z.unknown(), error: Failure.nullable() });

/** A migration as an agent has it on its disk. */
export const AgentRecord = z.object({
  id: z.string(),
  epoch: z.int(),
  definition: ContainerDefinition.nullable(),
  peer: z.object({ hostId: z.string() }).nullable().describe('The other agent.'),
  source: z
    .object({ frozen: z.object({ movedAs: z.string() }).nullable(), released: z.boolean() })
    .nullable()
    .describe('null: this host is not the source, or was never told to do anything.'),
  target: z
    .object({
      permit: z.enum(['unused', 'used', 'refused']),
      containerId: z.string().nullable(),
      usedBases: z.array(z.object({ base: Base })),
    })
    .nullable(),
  outcomes: z.record(z.string(), Outcome).describe('By step key.'),
});
export type AgentRecord = z.infer<typeof AgentRecord>;

/** `GET /v1/migrations` of an agent: all that it has a record of. */
export const AgentRecords = z.object({ migrations: z.array(AgentRecord) });
