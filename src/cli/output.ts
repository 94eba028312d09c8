import { z } from 'zod';
import { CargoError } from '../api/cargo-error.ts';
import { isFailureCode } from '../api/failures.ts';
import { Finding } from '../api/plan.ts';
import { Interrupted } from './interrupted.ts';
import { printable } from './table.ts';
import type { Terminal } from './terminal.ts';

export const formats = ['table', 'json'] as const;
export type Format = (typeof formats)[number];

const INTERRUPTED = 130;

/** Results go to standard output; with `-o json` nothing else does. Notes for people go to the stream that isn't taken. */
export class Output {
  readonly format: Format;
  readonly #terminal: Terminal;

  constructor(format: Format, terminal: Terminal) {
    this.format = format;
    this.#terminal = terminal;
  }

  /** The result: the value itself as JSON, or what people are to read. */
  result(value: unknown, text: () => string): void {
    this.#terminal.stdout.write(this.format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : text());
  }

  note(line: string): void {
    this.progressStream.write(`${printable(line)}\n`);
  }

  get progressStream(): Terminal['stdout'] {
    return this.format === 'json' ? this.#terminal.stderr : this.#terminal.stdout;
  }
}

/** Says on standard error what went wrong; returns the exit code. */
export function reportError(thrown: unknown, format: Format, terminal: Terminal): number {
  if (thrown instanceof Interrupted) {
    const body = { error: { code: 'INTERRUPTED', message: thrown.message } };
    terminal.stderr.write(format === 'json' ? `${JSON.stringify(body, null, 2)}\n` : `cargoctl: ${thrown.message}\n`);
    return INTERRUPTED;
  }
  const error = CargoError.from(thrown);
  terminal.stderr.write(format === 'json' ? `${JSON.stringify(error.toBody(), null, 2)}\n` : errorText(error));
  return error.handling.exitCode;
}

/** The failure that a migration ended with; a code this cargoctl does not know counts as MIGRATION_FAILED. */
export function failureOf(error: { code: string; message: string; details?: unknown }): CargoError {
  const code = isFailureCode(error.code) ? error.code : 'MIGRATION_FAILED';
  return new CargoError(code, error.message, { details: error.details });
}

const Details = z.object({
  candidates: z
    .array(z.object({ host: z.string(), name: z.string(), containerId: z.string() }))
    .default([])
    .catch([]),
  findings: z.array(Finding).default([]).catch([]),
});

function errorText(error: CargoError): string {
  const { candidates, findings } = Details.safeParse(error.details).data ?? { candidates: [], findings: [] };
  const lines = [
    `cargoctl: ${error.message} [${error.code}]`,
    ...candidates.map(({ host, name, containerId }) => `  --from ${host}   (${name}, ${containerId.slice(0, 12)})`),
    ...findings.map(findingLine),
  ];
  return lines.map((line) => `${printable(line)}\n`).join('');
}

export function findingLine({ level, subject, message }: Finding): string {
  return `  ${level}: ${subject}: ${message}`;
}
