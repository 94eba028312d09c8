import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Interrupted } from './interrupted.ts';
import type { Terminal } from './terminal.ts';

/** The question goes to standard error, so that standard output stays what the command was asked for. */
export async function ask(terminal: Terminal, question: string): Promise<string> {
  return answer(terminal, terminal.stderr, question);
}

/** As `ask`, but what is typed isn't shown. */
export async function askSecretly(terminal: Terminal, question: string): Promise<string> {
  // the question comes once the terminal no longer shows what is typed
  let asked = false;
  const muted = new Writable({
    write: (_chunk, _encoding, done) => {
      if (!asked) terminal.stderr.write(question);
      asked = true;
      done();
    },
  });
  const typed = await answer(terminal, muted, question);
  terminal.stderr.write('\n');
  return typed;
}

export async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  return text(stream);
}

async function answer({ stdin, signal }: Terminal, output: NodeJS.WritableStream, question: string): Promise<string> {
  const lines = createInterface({ input: stdin, output, terminal: true });
  const ended = new AbortController();
  // in raw mode Ctrl-C is a key for readline, not a signal
  lines.once('SIGINT', () => ended.abort());
  lines.once('close', () => ended.abort());
  try {
    return (await lines.question(question, { signal: AbortSignal.any([signal, ended.signal]) })).trim();
  } catch (cause) {
    throw Object.assign(new Interrupted(), { cause });
  } finally {
    lines.close();
  }
}
