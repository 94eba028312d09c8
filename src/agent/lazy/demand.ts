import { type BlockedCall, programNames, readBlockedCall } from '../../linux/blocked-call.ts';
import { type ContentEvent, isOpening } from '../../linux/fanotify.ts';
import { calls, IO_SUBMIT, isKnownAbi, readCalls, submitsReadsOnly, writeCalls } from './calls.ts';

/**
 * What must be here before an event may be answered: nothing (an open that touches no content), the bytes of the event,
 * or the whole file. `durable`: because the call may change what it touches, it must be on the disk and noted there: what
 * isn't is fetched again after a power cut.
 */
export type Demand = { need: 'nothing' | 'range' | 'whole'; durable: boolean };

/** Up to this size a file is fetched whole when it is opened. */
export const WHOLE_AT_OPEN_BYTES = 1024 * 1024;

/**
 * `hasOtherNames`: it has, or was opened by, another name than the one that it is being opened by. `isHidden`: it is being opened by a mount
 * that its opener does not see (`HiddenMounts`).
 */
export type DemandedFile = { size: number; isSparse: boolean; hasOtherNames: boolean; isHidden: boolean };

const O_TRUNC = 0o1000;
const MAP_SHARED = 0x1;
/** FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE and flags to come: the rest of the file may move. */
const FALLOC_IN_PLACE = 0x1 | 0x2 | 0x10 | 0x40;

export const safestDemand: Demand = { need: 'whole', durable: true };
const whole: Demand = { need: 'whole', durable: false };
const reads: Demand = { need: 'range', durable: false };
const writes: Demand = { need: 'range', durable: true };
const opens: Demand = { need: 'nothing', durable: false };

/**
 * Programs that ask where a file has data before they read it (SEEK_HOLE and FIEMAP raise no event, and what is reserved only
 * looks like a hole), or that take a file whose ctime moves while they read it for one that somebody changes. They get
 * the whole file when they open it.
 */
const archivers = new Set(
  'tar gtar bsdtar bsdcpio star cpio pax cp install rsync restic borg kopia duplicity qemu-img dar ddrescue xfsdump'.split(
    ' ',
  ),
);

/** Programs that have the kernel itself use the file from then on, without any event: for a loop device, or to swap. */
const lenders = new Set(
  'losetup mount cryptsetup veritysetup kpartx udisksd systemd-dissect systemd-nspawn swapon'.split(' '),
);

/** Calls that raise PRE_ACCESS for the bytes they touch and for no others. */
const dataCalls = new Map<number, Demand>([
  ...readCalls.map((number) => [number, reads] as const),
  ...writeCalls.map((number) => [number, writes] as const),
]);

/**
 * Decides by the system call in which the process waits, by kind of event, ABI and number; what isn't known for certain
 * goes the safestDemand way. Null: the process is not asleep yet, ask again.
 */
export function demandOf(event: ContentEvent, file: DemandedFile): Demand | null {
  const call = readBlockedCall(event.tid);
  if (call === 'running') return null;
  if (call === null || !isKnownAbi(call)) return safestDemand;
  return isOpening(event) ? ofOpen(call, event, file) : ofAccess(call, event);
}

function ofOpen({ number, args }: BlockedCall, { tid }: ContentEvent, file: DemandedFile): Demand {
  if (number === calls.execve || number === calls.execveat) return whole;
  const flags = number === calls.open ? args[1] : number === calls.openat ? args[2] : undefined;
  if (flags === undefined || (flags & O_TRUNC) !== 0 || file.isHidden) return safestDemand;
  const names = programNames(tid);
  if (names.some((name) => lenders.has(name))) return safestDemand;
  if (file.size <= WHOLE_AT_OPEN_BYTES || file.isSparse) return whole;
  if (file.hasOtherNames) return whole;
  return names.some((name) => archivers.has(name)) ? whole : opens;
}

function ofAccess({ number, args }: BlockedCall, event: ContentEvent): Demand {
  if (number === calls.execve || number === calls.execveat) return whole;
  // A private mapping never writes to the file; a shared one does so without any further event.
  if (number === calls.mmap) return ((args[3] ?? MAP_SHARED) & MAP_SHARED) === 0 ? whole : safestDemand;
  if (event.length === 0) return safestDemand;
  if (number === IO_SUBMIT) return submitsReadsOnly(event.tid, args) ? reads : writes;
  if (number === calls.fallocate) return ((args[1] ?? -1) & ~FALLOC_IN_PLACE) === 0 ? writes : safestDemand;
  return dataCalls.get(number) ?? safestDemand;
}
