import { parentPort, workerData } from 'node:worker_threads';
import { CargoError } from '../../api/cargo-error.ts';
import { ServedFiles, type ServedTree } from './served-files.ts';
import type { FilesAnswer, FilesQuestion } from './threaded-files.ts';

/** Reads for one source of ranges. The agent's own thread has heartbeats to send, and must not wait for a disk. */
function serve(files: ServedFiles, { read, from, id }: FilesQuestion): FilesAnswer {
  try {
    if (read === null) return { id, ...files.entries(from), error: null };
    return { id, bytes: files.read(read.file, read.offset, read.length), next: null, error: null };
  } catch (error) {
    return { id, bytes: new Uint8Array(0), next: null, error: CargoError.from(error).toBody() };
  }
}

/** What is nobody else's is handed over, not copied. */
function ownMemory({ buffer, byteLength }: Uint8Array): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && byteLength > 0 ? [buffer] : [];
}

if (parentPort === null) throw new Error('this file runs in a worker thread');
const port = parentPort;
const tree: ServedTree = workerData;
try {
  const files = new ServedFiles(tree);
  port.postMessage({ id: 0, bytes: new Uint8Array(0), next: null, error: null } satisfies FilesAnswer);
  port.on('message', (question: FilesQuestion | null) => {
    if (question !== null) {
      const answer = serve(files, question);
      port.postMessage(answer, ownMemory(answer.bytes));
      return;
    }
    // Its descriptors are the process's: nobody else would close them.
    files[Symbol.dispose]();
    port.close();
  });
} catch (error) {
  const body = CargoError.from(error).toBody();
  port.postMessage({ id: 0, bytes: new Uint8Array(0), next: null, error: body } satisfies FilesAnswer);
}
