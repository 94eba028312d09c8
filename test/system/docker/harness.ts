/**
 * Runs inside a host of the lab: the agent's container part without the agent around it. A test sends one JSON command
 * a line and gets one JSON line back, so it can end a step at any write of the record, as a crash would.
 */
import { createReadStream, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { hold } from '../../../src/agent/container/hold.ts';
import { createContainerModule } from '../../../src/agent/container/index.ts';
import type { MigrationRecord } from '../../../src/agent/migrations/record.ts';
import type { StepContext, StepHandler } from '../../../src/agent/migrations/step-context.ts';
import type { StepName } from '../../../src/api/agent-steps.ts';
import { CargoError } from '../../../src/api/cargo-error.ts';
import { DATA_DIR, type HarnessCommand, type HarnessQuestion } from './harness-messages.ts';

const LIMIT_MS = 120_000;
const log = pino({ level: 'warn' }, pino.destination(2));
const container = createContainerModule({ dockerSocket: '/run/docker.sock', dataDir: DATA_DIR, log });
const records = new Map<string, MigrationRecord>();
const imageAsked = new Map<string, (path: string) => void>();

class Crash extends Error {}

async function answer(command: HarnessCommand): Promise<unknown> {
  const signal = AbortSignal.timeout(LIMIT_MS);
  switch (command.op) {
    case 'describe':
      return container.describe(command.container, signal);
    case 'preflight':
      return container.preflight(command.request, signal);
    case 'facts':
      return container.dockerFacts(signal);
    case 'record':
      return records.get(command.migrationId) ?? null;
    case 'hold':
      return holdAtBoot(command.migrationId);
    case 'step':
      return runStep(command, signal);
    case 'image':
      return imageAsked.get(command.migrationId)?.(command.path);
  }
}

async function holdAtBoot(id: string): Promise<void> {
  const record = records.get(id);
  if (record === undefined) throw new Error(`no record of ${id}`);
  await hold(record, async (change) => records.set(id, change(record)));
}

async function runStep(command: HarnessCommand & { op: 'step' }, signal: AbortSignal): Promise<unknown> {
  const context = stepContext(command, signal);
  const handler = container.handlers[command.step] as StepHandler<StepName>;
  if (command.step === 'start') noteCopied(context);
  const output = await handler(context, command.input as never);
  const record = context.record();
  const outcome = { state: 'done', epoch: record.epoch, output, error: null } as const;
  records.set(record.id, { ...record, outcomes: { ...record.outcomes, [command.step]: outcome } });
  return output;
}

/** What the copy step leaves for each mount when all is copied: the time of it is what counts. */
function noteCopied(context: StepContext): void {
  for (const { index } of context.record().target?.mountPaths ?? []) {
    const state = join(context.directory, `mount-${index}`);
    mkdirSync(state, { recursive: true });
    writeFileSync(join(state, 'target.json'), '{}', { flag: 'a' });
  }
}

function stepContext(command: HarnessCommand & { op: 'step' }, signal: AbortSignal): StepContext {
  const { migrationId, crashAtUpdate } = command;
  const fresh = { id: migrationId, epoch: 1, definition: null, peer: null, source: null, target: null, outcomes: {} };
  const directory = `/tmp/harness-${migrationId}`;
  let updates = 0;
  mkdirSync(directory, { recursive: true });
  return {
    migrationId,
    directory,
    log,
    signal,
    record: () => records.get(migrationId) ?? fresh,
    others: () => [...records.values()].filter(({ id }) => id !== migrationId),
    async update(change) {
      updates += 1;
      // Even moments are just before a write becomes durable, odd ones just after it.
      if (crashAtUpdate === 2 * updates - 2) throw new Crash('crashed before a write');
      records.set(migrationId, structuredClone(change(records.get(migrationId) ?? fresh)));
      if (crashAtUpdate === 2 * updates - 1) throw new Crash('crashed after a write');
    },
    report: () => undefined,
    source: () => ({
      async fetchImage(haveLayers) {
        const path = await new Promise<string>((resolve) => {
          imageAsked.set(migrationId, resolve);
          send({ asksForImage: migrationId, haveLayers: [...haveLayers], directory });
        });
        return createReadStream(path).on('close', () => rmSync(path, { force: true }));
      },
      openRound: () => Promise.reject(new Error('the container part copies no data')),
      openVerification: () => Promise.reject(new Error('the container part copies no data')),
    }),
  };
}

function send(message: HarnessQuestion | { id: number; result?: unknown; error?: unknown }): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, ...command } = JSON.parse(line) as HarnessCommand & { id: number };
  answer(command as HarnessCommand).then(
    (result) => send({ id, result }),
    (thrown: unknown) => {
      const crashed = thrown instanceof Crash;
      const { code, message, details } = CargoError.from(thrown);
      send({ id, error: { code: crashed ? 'CRASH' : code, message, details } });
    },
  );
}
for (const id of records.keys()) rmSync(join('/tmp', `harness-${id}`), { recursive: true, force: true });
