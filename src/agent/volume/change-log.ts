import { closeSync, statfsSync, statSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { CHANGES, createChangeGroup, createWaker, inodeOfHandle, markFileSystem } from '../../linux/change-events.ts';
import { handleOf } from '../../linux/file-handle.ts';
import { close, openDirectory } from '../../linux/open.ts';
import { Stat } from '../../linux/stat.ts';
import type { ChangeThreadData, FromChangeThread, ToChangeThread } from './change-messages.ts';
import type { RoundChanges } from './worker-messages.ts';

/** Local file systems whose handles are understood: of a remote one, changes made elsewhere raise no events. */
const fileSystems = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'XFS'],
  [0x9123683e, 'Btrfs'],
]);

/**
 * What is changed in a tree, by inode, from a round's beginning on. It says for certain what can have changed, or that it
 * doesn't know: then the tree is to be scanned.
 */
export class ChangeLog implements AsyncDisposable {
  readonly #group: number;
  readonly #thread = takeThread();
  #base: string | null = null;
  #begun: string | null = null;

  private constructor(group: number) {
    this.#group = group;
  }

  /**
   * Begins to listen, on the whole file system that the tree is in. `events`: less than all of them in tests alone.
   * @throws Error when this file system, kernel or process can't
   */
  static start(path: string, events = CHANGES): ChangeLog {
    const root = openDirectory(path);
    try {
      refuseUnknown(path, root);
      const group = createChangeGroup();
      try {
        markFileSystem(group, root, events);
      } catch (error) {
        close(group);
        throw error;
      }
      const log = new ChangeLog(group);
      log.#thread.post({ type: 'watch', group, device: statSync(path, { bigint: true }).dev });
      return log;
    } finally {
      close(root);
    }
  }

  /** To be awaited before a round looks at the tree; `label` is what the round will leave. Never fails. */
  async begin(label: string): Promise<void> {
    this.#begun = null;
    try {
      await this.#thread.ask({ type: 'begin', group: this.#group, label });
      this.#begun = label;
    } catch {
      // A thread that ended will say so when it is asked for the changes.
    }
  }

  /** The round that was begun last is what the target has: what was changed before it doesn't matter any more. */
  acknowledge(label: string): void {
    if (label !== this.#begun) return;
    this.#base = label;
    this.#thread.post({ type: 'forget', group: this.#group, label });
  }

  /** What was changed since the last acknowledged round began. To be asked after all writers have ended. Never fails. */
  async changes(): Promise<RoundChanges | { reason: string }> {
    const base = this.#base;
    if (base === null) return { reason: 'no round has ended since it is watched' };
    try {
      const { inodes, reason } = await this.#thread.ask({ type: 'take', group: this.#group, label: base });
      return inodes === null ? { reason } : { base, inodes };
    } catch (error) {
      return { reason: `the log ended: ${error instanceof Error ? error.message : String(error)}` };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread.ask({ type: 'end', group: this.#group }).catch(() => close(this.#group));
    await this.#thread.release();
  }
}

function refuseUnknown(path: string, root: number): void {
  const { type } = statfsSync(path);
  if (!fileSystems.has(type)) throw new Error(`${path} is on a file system whose changes can't be followed`);
  const stat = new Stat().readFd(root);
  const inode = inodeOfHandle(handleOf(root));
  if (inode?.low !== stat.inodeLow || inode.high !== stat.inodeHigh) {
    throw new Error(`the file handles of ${path} are not understood`);
  }
}

type Question = Extract<ToChangeThread, { request: number }>;
type Unnumbered<T> = T extends unknown ? Omit<T, 'request'> : never;

/** One thread for all logs of this process; it lives while there is one. */
class SharedThread {
  readonly #waker = createWaker();
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  readonly #questions = new Map<number, PromiseWithResolvers<FromChangeThread>>();
  #lastRequest = 0;
  #failure: Error | null = null;
  users = 0;

  constructor() {
    const data: ChangeThreadData = { waker: this.#waker, stop: this.#stop };
    this.#worker = new Worker(new URL('./change-thread.ts', import.meta.url), {
      workerData: data,
      trackUnmanagedFds: false,
      resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 128 },
    });
    this.#worker.on('message', (answer: FromChangeThread) => {
      this.#questions.get(answer.request)?.resolve(answer);
      this.#questions.delete(answer.request);
      if (this.#questions.size === 0) this.#worker.unref();
    });
    this.#ended = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.unref();
    // Nobody can end a thread that sleeps in the kernel, and the process waits for all threads when it exits.
    process.once('exit', this.#end);
  }

  post(message: ToChangeThread): void {
    this.#worker.postMessage(message);
    this.#wake();
  }

  /** @throws what ended the thread, if it ended */
  ask(question: Unnumbered<Question>): Promise<FromChangeThread> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    this.#lastRequest += 1;
    const request = this.#lastRequest;
    const answer = Promise.withResolvers<FromChangeThread>();
    this.#questions.set(request, answer);
    this.#worker.ref();
    this.post({ ...question, request });
    return answer.promise;
  }

  async release(): Promise<void> {
    this.users -= 1;
    if (this.users > 0) return;
    if (shared === this) shared = null;
    process.off('exit', this.#end);
    this.#worker.ref();
    this.#end();
    await this.#ended;
    closeSync(this.#waker);
  }

  readonly #end = (): void => {
    Atomics.store(this.#stop, 0, 1);
    this.#wake();
  };

  #wake(): void {
    const one = Buffer.alloc(8);
    one.writeUInt8(1);
    writeSync(this.#waker, one);
  }

  /** What the logs know is lost with it. */
  #fail(error: Error): void {
    this.#failure = error;
    if (shared === this) shared = null;
    for (const question of this.#questions.values()) question.reject(error);
    this.#questions.clear();
  }
}

let shared: SharedThread | null = null;

function takeThread(): SharedThread {
  shared ??= new SharedThread();
  shared.users += 1;
  return shared;
}
