import { Worker } from 'node:worker_threads';
import type { EventThreadData } from './event-messages.ts';

let warm: Worker | null = null;

/** Has the thread load its code before there is a volume: that would be downtime later. Resolves when it has. */
export async function warmEventThread(): Promise<void> {
  warm ??= launch();
  await untilItSays(warm, 'loaded');
}

/** Resolves when it is about to read events. `onEnd`: it never ends by itself. */
export async function startEventThread(data: EventThreadData, onEnd: (error: Error) => void): Promise<Worker> {
  const thread = warm ?? launch();
  warm = null;
  thread.on('error', onEnd);
  thread.on('exit', () => onEnd(new Error('the event thread ended')));
  const ready = untilItSays(thread, 'ready');
  thread.postMessage(data);
  await ready;
  return thread;
}

function untilItSays(thread: Worker, word: 'loaded' | 'ready'): Promise<void> {
  return new Promise((resolve) => {
    const hear = (message: unknown): void => {
      if (message !== word) return;
      thread.off('message', hear);
      resolve();
    };
    thread.on('message', hear);
  });
}

function launch(): Worker {
  return new Worker(new URL('./event-thread.ts', import.meta.url), {
    resourceLimits: { maxYoungGenerationSizeMb: 3, maxOldGenerationSizeMb: 64 },
  });
}
