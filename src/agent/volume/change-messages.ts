/** What the change log and its thread say to each other. A period begins with a round, and has that round's label. */
export type ToChangeThread =
  | { type: 'watch'; group: number; device: bigint }
  | { type: 'begin'; group: number; label: string; request: number }
  | { type: 'take'; group: number; label: string; request: number }
  | { type: 'forget'; group: number; label: string }
  | { type: 'end'; group: number; request: number };

/** `inodes`: lower and upper halves of numbers, alternating; null: not everything is known. */
export type FromChangeThread = { request: number; inodes: Uint32Array | null; reason: string };

/** `stop[0]` is 1 when the thread is to end; like a message, it is said by waking it. */
export type ChangeThreadData = { waker: number; stop: Int32Array };
