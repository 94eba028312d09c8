import { type MessagePort, parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { CargoError } from '../../api/cargo-error.ts';
import { DescriptorLedger } from './descriptor-ledger.ts';
import { ServedFiles } from './served-files.ts';
import type { FilesAnswer, FilesOrder, FilesQuestion, Loaded } from './threaded-files.ts';

const nothing = new Uint8Array(0);
/** Answers up to this size somebody waits for; the background copy asks for more at a time. */
const SMALL_BYTES = 65_536;
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

/** What was asked and not answered: what is small comes first, else all in their order. */
class Questions {
  readonly #small: FilesQuestion[] = [];
  readonly #others: FilesQuestion[] = [];

  add(question: FilesQuestion): void {
    const isSmall = question.read !== null && question.read.length <= SMALL_BYTES;
    (isSmall ? this.#small : this.#others).push(question);
  }

  next(): FilesQuestion | undefined {
    return this.#small.shift() ?? this.#others.shift();
  }
}

function open(from: MessagePort, { tree, slots }: FilesOrder): void {
  try {
    const files = new ServedFiles(tree, new DescriptorLedger(slots));
    from.postMessage({ ...toNoQuestion, error: null } satisfies FilesAnswer);
    const questions = new Questions();
    /** False once there are to be no more answers. */
    const take = (question: FilesQuestion | null): boolean => {
      if (question !== null) questions.add(question);
      return question !== null;
    };
    /** What has arrived while the last answer was made, too. */
    const takeArrived = (): boolean => {
      for (let next = receiveMessageOnPort(from); next !== undefined; next = receiveMessageOnPort(from)) {
        if (!take(next.message)) return false;
      }
      return true;
    };
    from.on('message', (first: FilesQuestion | null) => {
      let goesOn = take(first) && takeArrived();
      for (let question = questions.next(); goesOn && question !== undefined; question = questions.next()) {
        const answer = serve(files, question);
        from.postMessage(answer, [answer.memory]);
        goesOn = takeArrived();
      }
      if (goesOn) return;
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
