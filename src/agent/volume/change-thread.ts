import { readFileSync, readSync } from 'node:fs';
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { forEachChange, readChanges, waitForAny } from '../../linux/change-events.ts';
import { isErrno } from '../../linux/libc.ts';
import { close } from '../../linux/open.ts';
import { forEachOpenForWriting } from '../../linux/open-writers.ts';
import type { ChangeThreadData, FromChangeThread, ToChangeThread } from './change-messages.ts';
import { ChangePeriods } from './change-periods.ts';

const BUFFER_BYTES = 262_144;

type Log = { device: bigint; periods: ChangePeriods };

/** Empties the queues of all logs as they fill, so that they hardly ever run over. Sleeps in the kernel meanwhile. */
class ChangeThread {
  readonly #port: MessagePort;
  readonly #waker: number;
  readonly #stop: Int32Array;
  readonly #logs = new Map<number, Log>();
  readonly #buffer = Buffer.alloc(BUFFER_BYTES);

  constructor(port: MessagePort, { waker, stop }: ChangeThreadData) {
    this.#port = port;
    this.#waker = waker;
    this.#stop = stop;
  }

  run(): void {
    while (Atomics.load(this.#stop, 0) === 0) {
      waitForAny([this.#waker, ...this.#logs.keys()]);
      this.#sleepAgain();
      for (const [group, log] of this.#logs) this.#drain(group, log);
      for (let got = receiveMessageOnPort(this.#port); got; got = receiveMessageOnPort(this.#port)) {
        this.#handle(got.message);
      }
    }
  }

  #handle(message: ToChangeThread): void {
    const { group } = message;
    if (message.type === 'watch') {
      this.#logs.set(group, { device: message.device, periods: new ChangePeriods() });
      return;
    }
    const log = this.#logs.get(group);
    if (log === undefined) throw new Error('a change log is used before it is watched');
    if (message.type === 'begin') {
      this.#drain(group, log);
      log.periods.begin(message.label);
      this.#answer({ request: message.request, inodes: null, reason: '' });
    } else if (message.type === 'take') {
      this.#take(message, log);
    } else if (message.type === 'forget') {
      log.periods.forgetBefore(message.label);
    } else {
      this.#logs.delete(group);
      close(group);
      this.#answer({ request: message.request, inodes: null, reason: '' });
    }
  }

  /**
   * A file that was written to through a mapping, or by libaio, raises an event at last when its last writable descriptor
   * and mapping go. Those that are still there are looked for first: one that goes meanwhile is in the queue then.
   */
  #take({ group, label, request }: Extract<ToChangeThread, { type: 'take' }>, log: Log): void {
    const visit = (inode: bigint): void =>
      log.periods.add(Number(inode & 0xffff_ffffn), Number((inode >> 32n) & 0xffff_ffffn));
    if (!forEachOpenForWriting(log.device, visit)) log.periods.lose('a loop device writes to a file that is not seen');
    this.#drain(group, log);
    if (!isMarked(group)) log.periods.lose('its file system was unmounted');
    const changes = log.periods.since(label);
    if ('lost' in changes) this.#answer({ request, inodes: null, reason: changes.lost });
    else this.#answer({ request, inodes: changes.inodes, reason: '' });
  }

  #drain(group: number, { periods }: Log): void {
    const add = (low: number, high: number): void => periods.add(low, high);
    for (let length = readChanges(group, this.#buffer); length > 0; length = readChanges(group, this.#buffer)) {
      const isWhole = forEachChange(this.#buffer.subarray(0, length), add);
      if (!isWhole) periods.lose('events were lost');
    }
  }

  #sleepAgain(): void {
    try {
      readSync(this.#waker, Buffer.alloc(8));
    } catch (error) {
      if (!isErrno(error, 'EAGAIN')) throw error;
    }
  }

  #answer(message: FromChangeThread): void {
    this.#port.postMessage(message);
  }
}

/** The kernel takes the mark away when the file system goes. */
function isMarked(group: number): boolean {
  return /^fanotify sdev:/m.test(readFileSync(`/proc/self/fdinfo/${group}`, 'latin1'));
}

if (parentPort === null) throw new Error('this file runs in a worker thread');
const data: ChangeThreadData = workerData;
new ChangeThread(parentPort, data).run();
parentPort.close();
