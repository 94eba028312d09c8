import { open } from 'node:fs/promises';
import { pino } from 'pino';
import { RecordStore } from '../../../src/agent/migrations/record-store.ts';

/** `record-writer <directory> [--without-sync]`: changes a record again and again, and says each change once it was answered. */
const [directory = '', option] = process.argv.slice(2);
if (option === '--without-sync') {
  await using any = await open('/dev/null');
  const handles: { sync: () => Promise<void> } = Object.getPrototypeOf(any);
  handles.sync = async () => undefined;
}
const records = await RecordStore.open(directory, pino({ level: 'silent' }));
await records.create('m');
for (;;) {
  const { epoch } = await records.update('m', (record) => ({ ...record, epoch: record.epoch + 1 }));
  process.stdout.write(`${epoch}\n`);
}
