import { Worker } from 'node:worker_threads';
import { CargoError, type ErrorBody } from '../../api/cargo-error.ts';
import { BodyMemory } from './body-memory.ts';
import { DescriptorLedger } from './descriptor-ledger.ts';
import { ANSWER_MAX_BYTES } from './range-hash.ts';
import type { RangeSource } from './range-server.ts';
import { MOST_DESCRIPTORS, type ServedTree } from './served-files.ts';
import type { RangeRequest } from './wire.ts';

const WARM_MS = 300_000;
/** Of two connections. */
const ANSWERS_KEPT = 8;

/** What the thread gets first: what to serve, and where to say what is open of it (`DescriptorLedger`). */
export type FilesOrder = { tree: ServedTree; slots: Int32Array<SharedArrayBuffer> };

/**
 * `read`: the answer for this range; null: entries from file number `from` on. `memory` is handed over, and back with the
 * answer, whose bytes may stand in it.
 */
export type FilesQuestion = { id: number; read: RangeRequest | null; from: number; memory: ArrayBuffer };
/** To question 0, which is never asked: the files are open, or why they aren't. Before it comes `Loaded`. */
export type FilesAnswer = {
  id: number;
  bytes: Uint8Array;
  next: number | null;
  memory: ArrayBuffer;
  error: ErrorBody | null;
};

/** What the thread says once it has its code. */
export type Loaded = 'loaded';

type Waiting = PromiseWithResolvers<{ bytes: Buffer; next: number | null }>;

let warm: Worker | null = null;

/**
 * Has a thread load its code before there is a tree to serve: that would be downtime later. Resolves when it has, or can't. It waits
 * for a few minutes.
 */
export async function warmFilesThread(): Promise<void> {
  if (warm !== null) return;
  const thread = launch();
  const loaded = Promise.withResolvers<void>();
  thread.once('message', () => loaded.resolve()).once('exit', () => loaded.resolve());
  warm = thread;
  const drop = (): void => {
    if (warm === thread) warm = null;
  };
  thread.on('error', drop).on('exit', drop).unref();
  setTimeout(() => {
    if (warm === thread) takeWarm()?.postMessage(null);
  }, WARM_MS).unref();
  await loaded.promise;
}

function takeWarm(): Worker | null {
  const thread = warm;
  warm = null;
  thread?.ref();
  return thread;
}

function launch(): Worker {
  return new Worker(new URL('./files-thread.ts', import.meta.url), {
    resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 256 },
  });
}

/** The files that the target has as outlines only, read by a thread of its own. */
export class ThreadedFiles implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #memory = new BodyMemory(ANSWER_MAX_BYTES, ANSWERS_KEPT);
  readonly #ended: Promise<void>;
  readonly #ledger = DescriptorLedger.ofSize(MOST_DESCRIPTORS);
  readonly #lost = Promise.withResolvers<void>();
  #lastId = 0;
  #failure: CargoError | null = null;

  private constructor(tree: ServedTree) {
    this.#worker = takeWarm() ?? launch();
    this.#worker.postMessage({ tree, slots: this.#ledger.slots } satisfies FilesOrder);
    this.#worker.on('message', (answer: FilesAnswer | Loaded) => {
      if (answer === 'loaded') return;
      const { id, bytes, next, memory, error } = answer;
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (bytes.buffer !== memory) this.#memory.give(new Uint8Array(memory));
      if (error !== null) waiting?.reject(CargoError.fromBody(error));
      else waiting?.resolve({ bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), next });
    });
    this.#ended = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    this.#worker
      .on('error', (error) => this.#fail(error))
      .on('exit', () => {
        this.#ledger.closeAll();
        this.#fail(new Error('the thread ended'));
      });
  }

  /** @throws CargoError INTERNAL when no round was completed, or the tree isn't there */
  static async open(tree: ServedTree): Promise<ThreadedFiles> {
    const files = new ThreadedFiles(tree);
    try {
      await files.#wait(0);
      return files;
    } catch (error) {
      await files.#ended;
      throw error;
    }
  }

  /** Resolves when nothing can be read any more, if only because this was disposed of. */
  get lost(): Promise<void> {
    return this.#lost.promise;
  }

  /** What `serveRanges` asks. */
  get source(): RangeSource {
    return {
      answer: async (request) => (await this.#ask({ read: request, from: 0, memory: this.#memory.takeWhole() })).bytes,
      giveBack: (answer) => this.#memory.give(answer),
      entries: (from) => this.#ask({ read: null, from, memory: new ArrayBuffer(0) }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#worker.postMessage(null);
    await this.#ended;
  }

  #ask(question: Omit<FilesQuestion, 'id'>): Waiting['promise'] {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    this.#lastId += 1;
    const id = this.#lastId;
    this.#worker.postMessage({ ...question, id } satisfies FilesQuestion, [question.memory]);
    return this.#wait(id);
  }

  #wait(id: number): Waiting['promise'] {
    const waiting: Waiting = Promise.withResolvers();
    this.#waiting.set(id, waiting);
    return waiting.promise;
  }

  #fail(cause: Error): void {
    this.#failure ??= new CargoError('INTERNAL', "The files can't be read any more.", { cause });
    for (const waiting of this.#waiting.values()) waiting.reject(this.#failure);
    this.#waiting.clear();
    this.#lost.resolve();
  }
}
