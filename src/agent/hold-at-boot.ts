import { access } from 'node:fs/promises';
import type { Logger } from 'pino';
import { hold, mayBeLost } from './container/hold.ts';
import { openDataDir } from './data-dir.ts';
import { RecordStore } from './migrations/record-store.ts';

/** dockerd writes it when it starts; /run is empty after a boot. */
const DOCKER_PID_FILE = '/var/run/docker.pid';

/**
 * `cargo-agent hold`, run at boot before Docker starts: closes the gate of every container that arrived here and whose
 * migration isn't over. While this host was down its operator may have given it up. Does nothing where Docker runs.
 */
export async function holdAtBoot(path: string, log: Logger, dockerPidFile = DOCKER_PID_FILE): Promise<void> {
  if (await isThere(dockerPidFile)) {
    log.warn({ dockerPidFile }, 'Docker has been started already: nothing is held');
    return;
  }
  await using dataDir = await openDataDir(path);
  const records = await RecordStore.open(dataDir.migrations, log);
  for (const record of records.whole()) {
    if (!mayBeLost(record)) continue;
    try {
      await hold(record, (change) => records.update(record.id, change));
      log.info({ migration: record.id, container: record.definition?.name }, 'held until the server is heard');
    } catch (error) {
      log.error({ migration: record.id, err: error }, 'the gate of a container could not be closed');
    }
  }
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
