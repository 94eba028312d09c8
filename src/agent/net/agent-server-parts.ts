import type { Server } from 'node:https';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { ContainerModule } from '../container/module.ts';
import type { RecordStore } from '../migrations/record-store.ts';
import type { StepRunner } from '../migrations/step-runner.ts';
import type { HostView } from './host-view.ts';
import type { Credentials } from './identity.ts';
import type { ServedRounds } from './served-rounds.ts';
import type { Trust } from './trust.ts';

export type AgentServerParts = {
  credentials: Credentials;
  view: HostView;
  container: ContainerModule;
  records: RecordStore;
  steps: StepRunner;
  rounds: ServedRounds;
  trust: Trust;
  log: Logger;
};

export type AgentServer = FastifyInstance<Server>;
