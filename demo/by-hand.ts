import { LabPair } from '../bench/lab-pair.ts';
import { runGroup } from '../bench/process-group.ts';
import { startRsyncDaemon } from '../bench/rsync-daemon.ts';
import { CONTAINER } from './database.ts';
import type { Lab } from './lab.ts';

const DATA = '/var/lib/docker/volumes/mysqldata/_data';
const COPY = '/var/lib/by-hand';

/**
 * What an operator without Cargo does: stop, rsync to a daemon on h2, start. It is started where it was, so that everything
 * after this has the same data.
 */
export async function stopRsyncStart(lab: Lab, signal: AbortSignal): Promise<void> {
  const pair = LabPair.of(lab, signal);
  await pair.exec('h2', 'mkdir', COPY);
  {
    await using daemon = await startRsyncDaemon(pair, 'h2', pair.path('h2', COPY));
    await lab.show('h1', ['docker', 'stop', CONTAINER]);
    console.log(`\nh1# rsync -aHAXS --numeric-ids ${DATA}/ ${daemon.url}`);
    const rsync = ['rsync', '-aHAXS', '--numeric-ids', `${pair.path('h1', DATA)}/`, daemon.url] as const;
    await runGroup(pair.inNetworkOf('h1', rsync), signal);
    await lab.show('h1', ['docker', 'start', CONTAINER]);
  }
  await pair.exec('h2', 'rm', '-rf', COPY);
}
