import { parentPort, workerData } from 'node:worker_threads';
import { CargoError } from '../../api/cargo-error.ts';
import { ServedFiles, type ServedTree } from './served-files.ts';
import type { FilesAnswer, FilesQuestion } from './threaded-files.ts';

/** Reads and hashes for one source of ranges. The agent's own thread has heartbeats to send, and must not wait for a disk. */
function serve(files: ServedFiles, { id, read, from, memory }: FilesQuestion): FilesAnswer {
  try {
    if (read === null) return { id, ...files.entries(from), memory, error: null };
    return { id, bytes: files.answer(read, memory), next: null, memory, error: null };
  } catch (error) {
    return { id, bytes: nothing, next: null, memory, error: CargoError.from(error).toBody() };
  }
}

if (parentPort === null) throw new Error('this file runs in a worker thread');
const port = parentPort;
const nothing = new Uint8Array(0);
const toNoQuestion = { id: 0, bytes: nothing, next: null, memory: new ArrayBuffer(0) };
const tree: ServedTree = workerData;
try {
  const files = new ServedFiles(tree);
  port.postMessage({ ...toNoQuestion, error: null } satisfies FilesAnswer);
  port.on('message', (question: FilesQuestion | null) => {
    if (question !== null) {
      const answer = serve(files, question);
      port.postMessage(answer, [answer.memory]);
      return;
    }
    // Its descriptors are the process's: nobody else would close them.
    files[Symbol.dispose]();
    port.close();
  });
} catch (error) {
  port.postMessage({ ...toNoQuestion, error: CargoError.from(error).toBody() } satisfies FilesAnswer);
}
