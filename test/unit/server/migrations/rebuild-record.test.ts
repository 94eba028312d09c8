import { expect, test } from 'vitest';
import { AgentRecord } from '../../../../src/api/agent-records.ts';
import { verdictOn } from '../../../../src/server/migrations/rebuild-record.ts';

type Outcomes = Record<string, 'done' | 'failed'>;

function record(parts: Partial<AgentRecord>, outcomes: Outcomes): AgentRecord {
  const error = { code: 'DOCKER_ERROR', message: 'it failed' };
  const entries = Object.entries(outcomes).map(([key, state]) => [
    key,
    { state, output: {}, error: state === 'failed' ? error : null },
  ]);
  const none = { id: 'm', epoch: 1, definition: null, peer: null, source: null, target: null };
  return AgentRecord.parse({ ...none, ...parts, outcomes: Object.fromEntries(entries) });
}

const source = (state: 'serving' | 'frozen' | 'released', outcomes: Outcomes = {}): AgentRecord => {
  const frozen = state === 'serving' ? null : { movedAs: 'db-moved-1' };
  return record({ source: { frozen, released: state === 'released' } }, outcomes);
};
const target = (permit: 'unused' | 'used' | 'refused', outcomes: Outcomes = {}): AgentRecord =>
  record({ target: { permit, containerId: null, usedBases: [] } }, outcomes);

const serving = source('serving');
const frozen = source('frozen', { freeze: 'done' });
const thawed = source('serving', { freeze: 'done', thaw: 'done' });
const released = source('released', { freeze: 'done', release: 'done' });
const started = target('used', { stage: 'done', start: 'done' });

const table: [string, AgentRecord | null, AgentRecord | null, Record<string, unknown>][] = [
  ['neither knows of it', null, null, { is: 'over' }],
  ['only served', serving, null, { is: 'forward', phase: 'staging' }],
  ['staged', serving, target('unused', { stage: 'done' }), { is: 'forward', phase: 'staging' }],
  ['frozen', frozen, target('unused'), { is: 'forward', phase: 'switching' }],
  ['half frozen', source('frozen'), target('unused'), { is: 'forward', phase: 'switching' }],
  ['about to start', frozen, target('used'), { is: 'forward', phase: 'switching' }],
  ['started', frozen, started, { is: 'forward', phase: 'switching' }],
  ['started, then asked to refuse', frozen, target('used', { start: 'done', refuse: 'failed' }), { is: 'forward' }],
  ['start failed', frozen, target('used', { start: 'failed' }), { is: 'back', phase: 'switching' }],
  ['refused', frozen, target('refused', { refuse: 'done' }), { is: 'back', phase: 'switching' }],
  ['freeze failed', source('serving', { freeze: 'failed' }), target('unused'), { is: 'back', phase: 'staging' }],
  ['thawed', thawed, target('unused'), { is: 'back' }],
  ['thawed and forgotten at the target', thawed, null, { is: 'rolled-back' }],
  ['thawed though the target has started', thawed, started, { is: 'recovered' }],
  ['thawed and fenced', thawed, target('refused', { fence: 'done' }), { is: 'rolled-back' }],
  ['released', released, started, { is: 'copied' }],
  ['released, forgotten at the target', released, null, { is: 'completed', cleanedUp: false }],
  ['cleaned up at the source', null, started, { is: 'completed', cleanedUp: true }],
  ['only staged, source forgotten', null, target('unused'), { is: 'clearing' }],
  ['frozen, target without a record', frozen, null, { is: 'unclear' }],
  ['perhaps started, source without a record', null, target('used'), { is: 'unclear' }],
];

test.each(table)('%s', (_what, atSource, atTarget, verdict) => {
  expect(verdictOn({ source: atSource, target: atTarget })).toMatchObject(verdict);
});
