import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { EventThreadData } from './event-messages.ts';

let warm: Worker | null = null;

/** Has the thread load its code before there is a volume: that would be downtime later. */
export function warmEventThread(): void {
  warm ??= launch();
}

/** Resolves when it is about to read events. `onEnd`: it never ends by itself. */
export async function startEventThread(data: EventThreadData, onEnd: (error: Error) => void): Promise<Worker> {
  const thread = warm ?? launch();
  warm = null;
  thread.on('error', onEnd);
  thread.on('exit', () => onEnd(new Error('the event thread ended')));
  thread.postMessage(data);
  await once(thread, 'message');
  return thread;
}

function launch(): Worker {
  return new Worker(new URL('./event-thread.ts', import.meta.url), {
    resourceLimits: { maxYoungGenerationSizeMb: 3, maxOldGenerationSizeMb: 64 },
  });
}
