import type { Migration, VolumeHydration } from '../api/migration.ts';
import { formatBytes, formatWait } from './quantity.ts';

/** What `cargoctl status` says of the volumes whose data follows: entries for `record`. */
export function hydrationEntries({ phase, container, paused, hydration }: Migration): [string, string | null][] {
  if (phase !== 'hydrating') return [['copying', paused ? 'will rest once the container runs' : null]];
  const rests = `paused: \`cargoctl resume ${container}\` goes on; what the container touches still comes`;
  return [['copying', paused ? rests : null], ...hydration.flatMap(volumeEntries)];
}

/** The same in a few words, over all volumes, for a line of progress. */
export function hydrationSummary({ phase, paused, hydration }: Migration): string[] {
  if (phase !== 'hydrating') return [];
  const { waits, waiting, denied } = total(hydration);
  const slowest = Math.max(...hydration.map(({ p99Ms }) => p99Ms ?? 0));
  return [
    paused ? 'paused' : '',
    hydration.some(({ sourceAway }) => sourceAway !== null) ? 'SOURCE AWAY' : '',
    waits === 0 ? '' : `${times(waits)}, p99 ${formatWait(slowest)}`,
    waiting === 0 ? '' : `${waiting} waiting`,
    denied === 0 ? '' : `${denied} failed`,
    hydration.some(({ trouble }) => trouble.length > 0) ? 'TROUBLE' : '',
  ].filter((part) => part !== '');
}

function volumeEntries(volume: VolumeHydration): [string, string][] {
  const { name, files, filesMissing, bytesMissing, waits, waiting, denied, p50Ms, p99Ms, sourceAway, trouble } = volume;
  const quantiles = p50Ms === null || p99Ms === null ? '' : ` (p50 ${formatWait(p50Ms)}, p99 ${formatWait(p99Ms)})`;
  const facts = [
    `${filesMissing} of ${files} files missing, ${formatBytes(bytesMissing)}`,
    `${times(waits)} for data${quantiles}`,
    `${waiting} waiting now`,
    ...(denied === 0 ? [] : [`${denied} answered with EIO`]),
  ];
  const notes = [...(sourceAway === null ? [] : [`source away: ${sourceAway}`]), ...trouble];
  return [['volume', `${name}: ${facts.join('; ')}`], ...notes.map((note): [string, string] => ['', note])];
}

function total(hydration: readonly VolumeHydration[]): Pick<VolumeHydration, 'waits' | 'waiting' | 'denied'> {
  const sum = (of: (volume: VolumeHydration) => number): number => hydration.reduce((so, one) => so + of(one), 0);
  return {
    waits: sum(({ waits }) => waits),
    waiting: sum(({ waiting }) => waiting),
    denied: sum(({ denied }) => denied),
  };
}

function times(waits: number): string {
  return waits === 1 ? '1 wait' : `${waits} waits`;
}
