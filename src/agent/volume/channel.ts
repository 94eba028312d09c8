import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { CargoError, ErrorBody } from '../../api/cargo-error.ts';
import { EarlySync } from './early-sync.ts';
import { FrameAssembler, type ReceivedFrame } from './frame-assembler.ts';
import { FrameOutlet } from './frame-outlet.ts';
import { frameKinds } from './frames.ts';
import { Sealer, type SealKeys, Unsealer } from './sealing.ts';
import { takeWorker } from './spare-worker.ts';
import {
  type FromWorker,
  type JobResult,
  type RoundProgress,
  SIGNALS,
  STOP,
  type ToWorker,
  type WorkerData,
  type WorkerJob,
} from './worker-messages.ts';

/** Frames handed to the worker and not given back yet; beyond this the socket is paused. */
const RECEIVE_WINDOW = 6;

/** A worker that doesn't end by itself after being told to is in a long system call; then it is ended. */
const WORKER_END_MS = 20_000;

/** How long a failure may wait for the peer to take note of it. */
const FAREWELL_MS = 2000;

export type Patience = { pingMs: number; silenceMs: number };
const defaultPatience: Patience = { pingMs: 10_000, silenceMs: 60_000 };

export type ChannelOptions = {
  socket: Duplex | null;
  keys: SealKeys | null;
  job: WorkerJob;
  bwlimit: number | null;
  signal: AbortSignal;
  onProgress?: ((progress: RoundProgress) => void) | undefined;
  patience?: Patience;
};

/**
 * Runs one job in a worker and pumps frames between it and the socket. On success the socket is left open; on failure
 * the peer is told why and the socket is destroyed. Throws CargoError only: the worker's, the peer's, PEER_UNREACHABLE,
 * or CANCELLED when the signal fires.
 */
export async function runJob(options: ChannelOptions): Promise<JobResult> {
  if (options.signal.aborted) throw cancelled(options.signal);
  const channel = new Channel(options);
  try {
    return await channel.outcome;
  } finally {
    await channel.end();
  }
}

class Channel {
  readonly outcome: Promise<JobResult>;
  readonly #options: ChannelOptions;
  readonly #patience: Patience;
  readonly #control = new Int32Array(new SharedArrayBuffer(8));
  readonly #worker: Worker;
  readonly #workerEnded: Promise<void>;
  readonly #sealer: Sealer | null;
  readonly #unsealer: Unsealer | null;
  readonly #assembler: FrameAssembler;
  readonly #outlet: FrameOutlet | null;
  readonly #earlySync: EarlySync;
  readonly #pulse: NodeJS.Timeout;
  readonly #settled = Promise.withResolvers<JobResult>();
  readonly #heardBye = Promise.withResolvers<void>();
  #isSettled = false;
  /** The source has the target's word that all is done, if its worker has not dealt with it yet. */
  #isAcknowledged = false;
  /** The worker has said how the job ended; it exits then, maybe before its last frame has left. */
  #isDone = false;
  #outstanding = 0;
  #heardAt = performance.now();
  #hasHeard = false;
  #localFailure: CargoError | null = null;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.#patience = options.patience ?? defaultPatience;
    this.outcome = this.#settled.promise;
    this.#worker = takeWorker({ isLast: isLast(options.job) });
    this.#workerEnded = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    const { socket, keys, bwlimit } = options;
    this.#sealer = keys === null ? null : new Sealer(keys.send);
    this.#unsealer = keys === null ? null : new Unsealer(keys.receive);
    const { path, isFile } = options.job.root;
    this.#earlySync = new EarlySync(isFile ? dirname(path) : path);
    this.#assembler = new FrameAssembler(this.#unsealer);
    this.#outlet = socket === null ? null : new FrameOutlet(socket, this.#sealer, bwlimit);
    this.#pulse = setInterval(() => this.#beat(), Math.max(10, Math.min(1000, this.#patience.pingMs / 2)));
    this.#listen();
    this.#worker.postMessage({ job: options.job, control: this.#control } satisfies WorkerData);
  }

  #listen(): void {
    this.#worker.on('message', (message: FromWorker) => this.#fromWorker(message));
    this.#worker.on('error', (error) => this.#fail(CargoError.from(error)));
    this.#worker.on('exit', () => this.#onExit());
    this.#options.signal.addEventListener('abort', this.#onAbort, { once: true });
    const { socket } = this.#options;
    socket?.on('data', this.#onData).on('error', this.#onError).on('end', this.#onEnd).on('close', this.#onEnd);
    socket?.resume();
  }

  /** Stops everything; returns when the worker touches nothing any more: one that is done has left all behind before it said so. */
  async end(): Promise<void> {
    clearInterval(this.#pulse);
    const { socket, signal } = this.#options;
    signal.removeEventListener('abort', this.#onAbort);
    Atomics.store(this.#control, STOP, 1);
    this.#wake();
    socket?.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onEnd);
    const failed = await this.outcome.then(
      () => false,
      () => true,
    );
    if (failed && socket !== null) await this.#sayFarewell(socket);
    const ended = this.#isDone || (await withinLimit(this.#workerEnded, WORKER_END_MS));
    if (!ended) await this.#worker.terminate();
    await withinLimit(this.#earlySync.ended(), WORKER_END_MS);
    socket?.off('error', this.#onError);
    this.#sealer?.[Symbol.dispose]();
    this.#unsealer?.[Symbol.dispose]();
  }

  /**
   * Tells the peer why. What it still sends is read and dropped until it closes: closing first, with data unread, would
   * make TCP throw away the very frame that explains.
   */
  async #sayFarewell(socket: Duplex): Promise<void> {
    socket.on('error', () => {});
    const failure = this.#localFailure;
    if (failure !== null && failure.code !== 'PEER_UNREACHABLE' && socket.writable) {
      const body = Buffer.from(JSON.stringify(failure.toBody()));
      const header = { kind: frameKinds.error, opsLength: body.length, dataLength: 0 };
      const closed = new Promise<void>((resolve) => {
        for (const event of ['end', 'close', 'error']) socket.once(event, () => resolve());
      });
      socket.resume();
      await this.#outlet?.close(header, body, FAREWELL_MS);
      await withinLimit(closed, FAREWELL_MS);
    }
    socket.destroy();
  }

  readonly #onAbort = (): void => this.#fail(cancelled(this.#options.signal));
  readonly #onError = (cause: unknown): void => this.#lose(unreachable('the connection broke', cause));
  readonly #onEnd = (): void => this.#lose(unreachable('it closed the connection'));

  readonly #onData = (piece: Uint8Array): void => {
    this.#heardAt = performance.now();
    try {
      this.#assembler.push(piece, (frame) => this.#fromPeer(frame));
    } catch (error) {
      this.#fail(CargoError.from(error));
    }
  };

  #fromPeer({ header, buffer }: ReceivedFrame): void {
    this.#hasHeard = true;
    if (header.kind === frameKinds.ping) return;
    if (header.kind === frameKinds.bye) {
      this.#heardBye.resolve();
      return;
    }
    if (header.kind === frameKinds.error) {
      this.#settle(null, peerError(Buffer.from(buffer, 0, header.opsLength)));
      return;
    }
    if (header.kind === frameKinds.acknowledge) this.#isAcknowledged = true;
    this.#outstanding += 1;
    if (this.#outstanding >= RECEIVE_WINDOW) this.#options.socket?.pause();
    this.#toWorker({ type: 'frame', header, buffer }, buffer);
  }

  #fromWorker(message: FromWorker): void {
    switch (message.type) {
      case 'send': {
        const { header, buffer, dataStart, pooled } = message;
        const sent = this.#outlet?.send(header, buffer, dataStart);
        if (pooled) sent?.then(() => this.#toWorker({ type: 'returned', buffer }, buffer)).catch(this.#onError);
        else sent?.catch(this.#onError);
        break;
      }
      case 'consumed':
        this.#assembler.recycle(message.buffer);
        this.#outstanding -= 1;
        if (this.#outstanding < RECEIVE_WINDOW && this.#options.socket?.isPaused()) {
          this.#heardAt = performance.now();
          this.#options.socket.resume();
        }
        break;
      case 'progress':
        this.#options.onProgress?.(message.progress);
        break;
      case 'dirty':
        this.#earlySync.begin();
        break;
      case 'done':
        this.#finish(message.result);
        break;
      case 'loaded':
        break;
      case 'failed':
        this.#fail(CargoError.fromBody({ error: message.error }));
        break;
    }
  }

  /**
   * The source has the acknowledgement and says goodbye; the target waits for that, as a socket closed too early could
   * still lose the acknowledgement. Neither can undo what is done: a connection lost now makes no difference.
   */
  #finish(result: JobResult): void {
    this.#isDone = true;
    const { kind } = this.#options.job;
    const isTarget = kind === 'receive' || kind === 'verifyAtTarget';
    const farewell = isTarget ? this.#heardBye.promise : this.#outlet?.flushed();
    const settle = (): void => this.#settle(result, null);
    withinLimit(Promise.resolve(farewell), FAREWELL_MS).then(settle, settle);
  }

  #toWorker(message: ToWorker, buffer: ArrayBuffer): void {
    this.#worker.postMessage(message, [buffer]);
    this.#wake();
  }

  #wake(): void {
    Atomics.add(this.#control, SIGNALS, 1);
    Atomics.notify(this.#control, SIGNALS);
  }

  #beat(): void {
    const now = performance.now();
    const { socket } = this.#options;
    if (socket === null || this.#outlet === null) return;
    // The target says nothing before the source has: the source may not be listening yet.
    const mayPing = this.#options.job.kind === 'send' || this.#hasHeard;
    if (mayPing && now - this.#outlet.wroteAt > this.#patience.pingMs) this.#outlet.ping();
    if (!socket.isPaused() && now - this.#heardAt > this.#patience.silenceMs) {
      this.#fail(unreachable(`nothing was heard from it for ${Math.round(this.#patience.silenceMs / 1000)} s`));
    }
  }

  #onExit(): void {
    if (!this.#isDone) this.#fail(new CargoError('INTERNAL', 'The transfer worker ended unexpectedly.'));
  }

  #lose(error: CargoError): void {
    if (this.#isDone || this.#isAcknowledged) this.#heardBye.resolve();
    else this.#fail(error);
  }

  #fail(error: CargoError): void {
    if (!this.#isSettled) this.#localFailure = error;
    this.#settle(null, error);
  }

  #settle(result: JobResult | null, error: CargoError | null): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    if (result !== null) this.#settled.resolve(result);
    else this.#settled.reject(error);
  }
}

function isLast(job: WorkerJob): boolean {
  return job.kind === 'send' ? job.final : job.kind === 'receive' && job.isLast === true;
}

/** True if `event` came in time. */
async function withinLimit(event: Promise<void>, limitMs: number): Promise<boolean> {
  const limit = new AbortController();
  const late = delay(limitMs, false, { signal: limit.signal }).catch(() => false);
  const inTime = await Promise.race([event.then(() => true), late]);
  limit.abort();
  return inTime;
}

function peerError(bytes: Buffer): CargoError {
  try {
    return CargoError.fromBody(ErrorBody.parse(JSON.parse(bytes.toString('utf8'))));
  } catch (cause) {
    return new CargoError('PROTOCOL_ERROR', 'The other agent sent an error that cannot be read.', { cause });
  }
}

function unreachable(why: string, cause?: unknown): CargoError {
  return new CargoError('PEER_UNREACHABLE', `The other agent was lost during the transfer: ${why}.`, { cause });
}

function cancelled(signal: AbortSignal): CargoError {
  if (signal.reason instanceof CargoError) return signal.reason;
  return new CargoError('CANCELLED', 'The transfer was cancelled.', { cause: signal.reason });
}
