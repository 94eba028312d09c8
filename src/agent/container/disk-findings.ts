import { stat, statfs } from 'node:fs/promises';
import type { Finding } from '../../api/plan.ts';
import { resolved } from './host-paths.ts';
import { nearestExisting } from './place-findings.ts';

/** Bytes that will be written below a path that need not exist yet. */
export type SpaceNeed = { path: string; bytes: number };

const KEEP_FREE_BYTES = 256 * 1024 ** 2;
const KEEP_FREE_SHARE = 0.05;

/** File systems on which the needs, taken together, would leave less than 5 % (at most 256 MiB are asked for) free. */
export async function diskFindings(needs: readonly SpaceNeed[]): Promise<Finding[]> {
  const systems = new Map<number, SpaceNeed>();
  for (const need of needs) {
    const path = await nearestExisting(await resolved(need.path));
    const { dev } = await stat(path);
    const known = systems.get(dev);
    systems.set(dev, { path: known?.path ?? path, bytes: (known?.bytes ?? 0) + need.bytes });
  }
  const findings: Finding[] = [];
  for (const { path, bytes } of systems.values()) {
    const { bsize, bavail, blocks } = await statfs(path);
    const keep = Math.min(KEEP_FREE_BYTES, blocks * bsize * KEEP_FREE_SHARE);
    if (bytes === 0 || bytes + keep <= bavail * bsize) continue;
    const message =
      `${path} at the target has ${mebibytes(bavail * bsize)} free; ${mebibytes(bytes)} are to be written ` +
      `and ${mebibytes(keep)} stay free: make room there`;
    findings.push({ level: 'blocker', code: 'disk-full', subject: path, message });
  }
  return findings;
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`;
}
