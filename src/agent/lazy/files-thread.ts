import { type MessagePort, parentPort } from 'node:worker_threads';
import { CargoError } from '../../api/cargo-error.ts';
import { DescriptorLedger } from './descriptor-ledger.ts';
import { ServedFiles } from './served-files.ts';
import type { FilesAnswer, FilesOrder, FilesQuestion, Loaded } from './threaded-files.ts';

const nothing = new Uint8Array(0);
const toNoQuestion = { id: 0, bytes: nothing, next: null, memory: new ArrayBuffer(0) };

/** Reads and hashes for one source of ranges. The agent's own thread has heartbeats to send, and must not wait for a disk. */
function serve(files: ServedFiles, { id, read, from, memory }: FilesQuestion): FilesAnswer {
  try {
    if (read === null) return { id, ...files.entries(from), memory, error: null };
    return { id, bytes: files.answer(read, memory), next: null, memory, error: null };
  } catch (error) {
    return { id, bytes: nothing, next: null, memory, error: CargoError.from(error).toBody() };
  }
}

function open(from: MessagePort, { tree, slots }: FilesOrder): void {
  try {
    const files = new ServedFiles(tree, new DescriptorLedger(slots));
    from.postMessage({ ...toNoQuestion, error: null } satisfies FilesAnswer);
    from.on('message', (question: FilesQuestion | null) => {
      if (question !== null) {
        const answer = serve(files, question);
        from.postMessage(answer, [answer.memory]);
        return;
      }
      // Its descriptors are the process's: nobody else would close them.
      files[Symbol.dispose]();
      from.close();
    });
  } catch (error) {
    from.postMessage({ ...toNoQuestion, error: CargoError.from(error).toBody() } satisfies FilesAnswer);
    from.close();
  }
}

if (parentPort === null) throw new Error('this file runs in a worker thread');
const port = parentPort;
port.postMessage('loaded' satisfies Loaded);
port.once('message', (order: FilesOrder | null) => {
  if (order === null) port.close();
  else open(port, order);
});
