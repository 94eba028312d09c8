import { bootHost, cutPower, findHost, restartAgent } from '../lab/index.ts';
import type { FaultLab } from './fault-lab.ts';
import type { HostName } from './names.ts';
import { forgotten, type Records, recordsOn } from './records.ts';

/** The power goes. Gives what the host's agent had written down. */
export async function powerOff({ lab, recorder }: FaultLab, name: HostName): Promise<Records> {
  const records = recordsOn(lab, name);
  await cutPower(lab, findHost(lab, name));
  recorder.powerWasCut(name);
  return records;
}

/**
 * The power is back, with Docker and the agent; `beforeAgent` is called while only Docker is up.
 * @returns sentences on what the host had written down, and has forgotten
 */
export async function powerOn(
  { lab }: FaultLab,
  name: HostName,
  records: Records,
  beforeAgent: () => void = () => undefined,
): Promise<string[]> {
  const host = findHost(lab, name);
  await bootHost(lab, host);
  const lost = forgotten(name, records, recordsOn(lab, name));
  beforeAgent();
  await restartAgent(lab, host);
  return lost;
}
