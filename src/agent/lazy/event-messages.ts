import type { ContentEvent } from '../../linux/fanotify.ts';
import type { Demand } from './demand.ts';
import type { TableParts } from './file-table.ts';

/** What the event thread gets when it begins: `group` and `inFlight` are descriptors. */
export type EventThreadData = { group: number; inFlight: number; table: TableParts };

/**
 * An event that the event thread can't answer, for the main thread. `file` is the placeholder's number. Names and mounts: see `DemandedFile`.
 * `demand`: null where the process was not asleep yet.
 */
export type Miss = {
  event: ContentEvent;
  file: number;
  hasOtherNames: boolean;
  isHidden: boolean;
  demand: Demand | null;
};

/** Somebody was let open a file that is not whole yet: `opened` is a descriptor of it, for the main thread to keep. */
export type Opened = { file: number; opened: number };
