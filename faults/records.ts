import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { findHost, hostRoot, type Lab, requireInit } from '../lab/index.ts';
import type { HostName } from './names.ts';

const MIGRATIONS = 'var/lib/cargo/migrations';
const permits = ['none', 'unused', 'used', 'refused'] as const;

/** What an agent relies upon for ever once it has answered, of one migration. */
const Record = z.object({
  epoch: z.int(),
  source: z.object({ frozen: z.unknown(), released: z.boolean() }).nullable(),
  target: z.object({ permit: z.enum(permits) }).nullable(),
  outcomes: z.record(z.string(), z.object({ state: z.string() })),
});
type Record = z.infer<typeof Record>;
export type Records = ReadonlyMap<string, Record>;

/** The records as the agent's disk shows them now: before a power cut what was written, after it what has reached the disk. */
export function recordsOn(lab: Lab, host: HostName): Records {
  const root = join(hostRoot(requireInit(lab, findHost(lab, host))), MIGRATIONS);
  if (!existsSync(root)) return new Map();
  const files = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => [name, join(root, name, 'record.json')] as const)
    .filter(([, path]) => existsSync(path));
  return new Map(files.map(([id, path]) => [id, Record.parse(JSON.parse(readFileSync(path, 'utf8')))]));
}

/** Sentences on what a host had written down and has no more. What it wrote down since is no loss. */
export function forgotten(host: HostName, before: Records, after: Records): string[] {
  return [...before].flatMap(([id, was]) => {
    const is = after.get(id);
    const lost = is === undefined ? ['the whole record'] : lostOf(was, is);
    return lost.map((what) => `${host} forgot at the power cut, of migration ${id}: ${what}`);
  });
}

function lostOf(was: Record, is: Record): string[] {
  const permit = (record: Record): (typeof permits)[number] => record.target?.permit ?? 'none';
  const isFrozen = ({ source }: Record): boolean => source !== null && source.frozen !== null;
  const outcomes = Object.keys(was.outcomes).filter((key) => is.outcomes[key] === undefined);
  return [
    ...(permits.indexOf(permit(is)) < permits.indexOf(permit(was)) ? [`permit ${permit(was)} is ${permit(is)}`] : []),
    ...(is.epoch < was.epoch ? [`epoch ${was.epoch} is ${is.epoch}`] : []),
    ...(isFrozen(was) && !isFrozen(is) && is.outcomes['thaw'] === undefined ? ['that it is frozen'] : []),
    ...(was.source?.released === true && is.source?.released !== true ? ['that it is released'] : []),
    ...(outcomes.length > 0 ? [`what came of ${outcomes.join(', ')}`] : []),
  ];
}
