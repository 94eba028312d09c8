import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** Of 20 MB each. */
const MOST_SPARES = 4;
/** Whoever asked for several may not come. */
const WANTED_FOR_MS = 300_000;

type Spare = { worker: Worker; loaded: Promise<unknown> };

const spares: Spare[] = [];
let wanted = 1;

/**
 * A worker that waits for its job. The next one is started when this one has ended, so that the final round, which is
 * downtime, doesn't wait for a thread to start and load its code (0.1 to 0.3 s), and none waits beside one that works:
 * that would be 20 MB more while memory is needed most. After the last job none is started: it would take the processor from
 * what the container waits for.
 */
export function takeWorker({ isLast }: { isLast: boolean }): Worker {
  const { worker } = spares.shift() ?? startWorker();
  if (isLast) wanted = 1;
  else worker.once('exit', refill);
  worker.ref();
  return worker;
}

/** So many jobs will come, one right after the other. Resolves when as many workers wait, with their code loaded. */
export async function warmWorkers(jobs: number): Promise<void> {
  if (jobs === 0) return;
  wanted = Math.min(jobs, MOST_SPARES);
  setTimeout(() => {
    wanted = 1;
  }, WANTED_FOR_MS).unref();
  refill();
  await Promise.all(spares.map(({ loaded }) => loaded));
}

function refill(): void {
  while (spares.length < wanted) spares.push(startWorker());
}

function startWorker(): Spare {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    // Descriptors opened through koffi are unknown to Node's tracking; ours are closed by the worker itself.
    trackUnmanagedFds: false,
    // What the worker allocates dies young; a large nursery would only add to the agent's memory.
    resourceLimits: { maxYoungGenerationSizeMb: 3, maxOldGenerationSizeMb: 128 },
  });
  const drop = (): void => {
    const at = spares.findIndex((spare) => spare.worker === worker);
    if (at >= 0) spares.splice(at, 1);
  };
  worker.once('exit', drop);
  worker.on('error', drop);
  worker.unref();
  const loaded = Promise.race([once(worker, 'message'), once(worker, 'exit')]).catch(() => {});
  return { worker, loaded };
}
