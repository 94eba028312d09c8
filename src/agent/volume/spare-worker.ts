import { Worker } from 'node:worker_threads';

let spare: Worker | null = null;

/**
 * A worker that waits for its job. The next one is started when this one has ended, so that the final round, which is
 * downtime, doesn't wait for a thread to start and load its code (0.1 to 0.3 s), and none waits beside one that works:
 * that would be 20 MB more while memory is needed most. After the last job none is started: it would take the processor from
 * what the container waits for.
 */
export function takeWorker({ isLast }: { isLast: boolean }): Worker {
  const worker = spare ?? startWorker();
  spare = null;
  if (!isLast) {
    worker.once('exit', () => {
      spare ??= startWorker();
    });
  }
  worker.ref();
  return worker;
}

function startWorker(): Worker {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    // Descriptors opened through koffi are unknown to Node's tracking; ours are closed by the worker itself.
    trackUnmanagedFds: false,
    // What the worker allocates dies young; a large nursery would only add to the agent's memory.
    resourceLimits: { maxYoungGenerationSizeMb: 3, maxOldGenerationSizeMb: 128 },
  });
  const drop = (): void => {
    if (spare === worker) spare = null;
  };
  worker.once('exit', drop);
  worker.on('error', drop);
  worker.unref();
  return worker;
}
