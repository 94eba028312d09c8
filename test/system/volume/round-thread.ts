import { parentPort } from 'node:worker_threads';
import { Link } from '../../../src/agent/volume/link.ts';
import { receiveRoundInWorker } from '../../../src/agent/volume/receive-round.ts';
import { sendRoundInWorker } from '../../../src/agent/volume/send-round.ts';
import { CargoError } from '../../../src/api/cargo-error.ts';
import type { RoundTask } from './round-threads.ts';

/** One side of many rounds, without the start of a worker for each. */
parentPort?.on('message', ({ job, port, control }: RoundTask) => {
  const link = new Link(port, control);
  try {
    const stats = 'final' in job ? sendRoundInWorker(job, link) : receiveRoundInWorker(job, link);
    parentPort?.postMessage({ stats });
  } catch (error) {
    const { code, message } = CargoError.from(error);
    parentPort?.postMessage({ code, message });
  } finally {
    port.close();
  }
});
