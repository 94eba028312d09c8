import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CargoError } from '../../api/cargo-error.ts';
import { tryLockExclusive } from '../../linux/flock.ts';
import { type Ahead, createKept } from './ahead.ts';
import { endHolder, findHolders, isAlive, takeKept, thisProcess } from './holders.ts';
import { Hydrator } from './hydrator.ts';
import { Journal } from './journal.ts';
import { bootId, expectRecord, type VolumeRecord, writeRecord } from './volume-record.ts';

const LOCK_RETRY_MS = 10;

/** Held by the volume's hydrator for as long as it lives: there is never a second one. */
export function lockVolume(stateDir: string): Disposable {
  const fd = openSync(join(stateDir, 'lock'), 'a', 0o600);
  if (tryLockExclusive(fd)) return { [Symbol.dispose]: () => closeSync(fd) };
  closeSync(fd);
  throw new CargoError('WRONG_PHASE', `A hydrator for ${stateDir} runs already.`);
}

/** The same, once a hydrator that was killed has ended: that takes as long as what its threads wait for on the disk. */
export async function lockAfterLast(stateDir: string): Promise<Disposable> {
  while (true) {
    try {
      return lockVolume(stateDir);
    } catch (error) {
      const { hydrator } = await expectRecord(stateDir);
      if (hydrator === null || isAlive(hydrator)) throw error;
    }
    await delay(LOCK_RETRY_MS);
  }
}

/**
 * A hydrator for a staged volume, or for one that lost its hydrator. After a boot nothing is marked, and nothing may have
 * used the volume: what is missing is marked anew.
 *
 * @param ahead what was started for a volume that was to be staged; it is ended where another group protects it already
 * @throws CargoError WRONG_PHASE; MIGRATION_FAILED when the volume is suspect
 */
export async function openVolume(
  stateDir: string,
  launcher: readonly string[],
  ahead: Ahead | null = null,
): Promise<Hydrator> {
  const record = await expectRecord(stateDir);
  if (record.phase === 'finished') throw new CargoError('WRONG_PHASE', `${record.path} is complete already.`);
  if (record.phase === 'suspect') throw suspect(record);
  const isSameBoot = record.bootId === bootId();
  const kept = isSameBoot ? (takeKept(record.holders) ?? takeKept(findHolders(stateDir))) : null;
  if (kept === null && isSameBoot && record.phase === 'armed') {
    const lost = { ...record, phase: 'suspect' as const, reason: lostReason };
    // Not written on a full disk, it is found again the next time.
    await writeRecord(stateDir, lost).catch(() => {});
    throw suspect(lost);
  }
  const isTakenOver = kept !== null;
  if (isTakenOver) ahead?.holders.forEach(endHolder);
  // Before the record says that this boot has been seen.
  if (!isSameBoot) Journal.forgetHere(stateDir);
  const next: VolumeRecord = {
    ...record,
    phase: isTakenOver && record.phase === 'armed' ? 'armed' : 'staged',
    bootId: bootId(),
    holders: isTakenOver ? record.holders : (ahead?.holders ?? []),
    hydrator: thisProcess(),
  };
  // Of a volume that was only staged it tells nothing that is needed before `arming`, and each record is downtime.
  if (record.phase !== 'staged') await writeRecord(stateDir, next);
  return new Hydrator({ stateDir, record: next, kept: kept ?? ahead?.kept ?? createKept(), isTakenOver, launcher });
}

const lostReason =
  'All processes that protected it ended while content was missing: since then processes may have read zeros in place of it.';

function suspect({ path, reason }: VolumeRecord): CargoError {
  return new CargoError('SUSPECT', `${path} is suspect: ${reason}`);
}
