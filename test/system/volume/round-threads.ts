import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { RoundStats } from '../../../src/agent/volume/index.ts';
import {
  type FromWorker,
  SIGNALS,
  STOP,
  type ToWorker,
  type WorkerJob,
} from '../../../src/agent/volume/worker-messages.ts';

export type RoundTask = { job: SendJob | ReceiveJob; port: MessagePort; control: Int32Array };
export type SendJob = Extract<WorkerJob, { kind: 'send' }>;
export type ReceiveJob = Extract<WorkerJob, { kind: 'receive' }>;
type Outcome = { stats: RoundStats } | { code: string; message: string };
type Side = { port: MessagePort; control: Int32Array };

/** The two threads of a round, kept for hundreds of rounds, with a wire between them that can be cut at any frame. */
export class RoundThreads implements AsyncDisposable {
  readonly #source = newThread();
  readonly #target = newThread();

  /** `cutAfter`: both sides are stopped dead once that many frames have passed. Null: they ended by that. */
  async run(send: SendJob, receive: ReceiveJob, cutAfter: number): Promise<RoundStats | null> {
    const [source, target] = [this.#begin(this.#source, send), this.#begin(this.#target, receive)];
    let frames = 0;
    let wasCut = false;
    const stop = (): void => [source.side, target.side].forEach(stopSide);
    const pass = (from: Side, to: Side) => (message: FromWorker) => {
      if (message.type !== 'send') return;
      frames += 1;
      wasCut ||= frames > cutAfter;
      if (wasCut) stop();
      else forward(message, from, to);
    };
    source.side.port.on('message', pass(source.side, target.side));
    target.side.port.on('message', pass(target.side, source.side));
    const settle = async (outcome: Promise<Outcome>): Promise<Outcome> => {
      const result = await outcome;
      if (!('stats' in result)) stop();
      return result;
    };
    const [sent, received] = await Promise.all([settle(source.outcome), settle(target.outcome)]);
    source.side.port.close();
    target.side.port.close();
    if ('stats' in sent && 'stats' in received) return sent.stats;
    if (wasCut) return null;
    throw new Error(`source: ${JSON.stringify(sent)}; target: ${JSON.stringify(received)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#source.terminate(), this.#target.terminate()]);
  }

  #begin(thread: Worker, job: SendJob | ReceiveJob): { side: Side; outcome: Promise<Outcome> } {
    const { port1, port2 } = new MessageChannel();
    const control = new Int32Array(new SharedArrayBuffer(8));
    const outcome = once(thread, 'message').then(([result]) => result);
    thread.postMessage({ job, port: port2, control }, [port2]);
    return { side: { port: port1, control }, outcome };
  }
}

function newThread(): Worker {
  return new Worker(new URL('./round-thread.ts', import.meta.url), { trackUnmanagedFds: false });
}

function forward(message: Extract<FromWorker, { type: 'send' }>, from: Side, to: Side): void {
  const { header, buffer, dataStart } = message;
  const whole = new Uint8Array(header.opsLength + header.dataLength);
  whole.set(new Uint8Array(buffer, 0, header.opsLength));
  whole.set(new Uint8Array(buffer, dataStart, header.dataLength), header.opsLength);
  post(to, { type: 'frame', header, buffer: whole.buffer });
  if (message.pooled) post(from, { type: 'returned', buffer });
}

function post(side: Side, message: ToWorker): void {
  side.port.postMessage(message, [message.buffer]);
  wake(side);
}

function stopSide(side: Side): void {
  Atomics.store(side.control, STOP, 1);
  wake(side);
}

function wake(side: Side): void {
  Atomics.add(side.control, SIGNALS, 1);
  Atomics.notify(side.control, SIGNALS);
}
