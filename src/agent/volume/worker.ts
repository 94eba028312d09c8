import { type MessagePort, parentPort } from 'node:worker_threads';
import { CargoError } from '../../api/cargo-error.ts';
import { isErrno } from '../../linux/libc.ts';
import { Link, Stopped } from './link.ts';
import { measureInWorker } from './measure.ts';
import { receiveRoundInWorker } from './receive-round.ts';
import { sendRoundInWorker } from './send-round.ts';
import { verifyAtSourceInWorker } from './verify-at-source.ts';
import { verifyAtTargetInWorker } from './verify-at-target.ts';
import type { FromWorker, JobResult, WorkerData, WorkerJob } from './worker-messages.ts';

/** One job, then the end: nothing keeps the thread after it. */
function work(port: MessagePort, { job, control }: WorkerData): void {
  const post = (message: FromWorker): void => port.postMessage(message);
  try {
    post({ type: 'done', result: run(job, new Link(port, control)) });
  } catch (error) {
    if (error instanceof Stopped) return;
    post({ type: 'failed', error: toCargoError(error, job).toBody().error });
  }
}

function run(job: WorkerJob, link: Link): JobResult {
  switch (job.kind) {
    case 'send':
      return sendRoundInWorker(job, link);
    case 'receive':
      return receiveRoundInWorker(job, link);
    case 'measure':
      return measureInWorker(job, link);
    case 'verifyAtSource':
      return verifyAtSourceInWorker(job, link);
    case 'verifyAtTarget':
      return verifyAtTargetInWorker(job, link);
  }
}

function toCargoError(error: unknown, job: WorkerJob): CargoError {
  if (error instanceof CargoError) return error;
  if (isErrno(error, 'ENOSPC', 'EDQUOT')) {
    const side = job.kind === 'receive' ? 'target' : 'source';
    const message = `The ${side}'s disk is full: ${messageOf(error)}. Free space there, then try again.`;
    return new CargoError('DISK_FULL', message, { cause: error });
  }
  return new CargoError('INTERNAL', `Copying ${job.root.path} failed: ${messageOf(error)}.`, { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Entry point of the worker thread, which waits for its job with all code loaded. */
if (parentPort === null) throw new Error('this file runs in a worker thread');
const port = parentPort;
port.once('message', (data: WorkerData) => work(port, data));
port.postMessage({ type: 'loaded' } satisfies FromWorker);
