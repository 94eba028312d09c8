import { randomUUID } from 'node:crypto';
import { ChangeLog } from '../../../src/agent/volume/index.ts';

/** A change log in a process of its own, which a test can stop: it answers `begin` and `changes`. Usage: … DIRECTORY. */
const log = ChangeLog.start(process.argv[2] ?? '');
process.on('message', async (question) => process.send?.(await answer(question)));

async function answer(question: unknown): Promise<string> {
  if (question === 'changes') {
    const changes = await log.changes();
    return 'reason' in changes ? changes.reason : `${changes.inodes.length / 2} inodes`;
  }
  const label = randomUUID();
  await log.begin(label);
  log.acknowledge(label);
  return 'begun';
}
