import type { FastifyReply } from 'fastify';
import type { ContainerSummary, HostContainers } from '../../api/host.ts';

/** A reply with a serializer of its own has no type by itself. */
const JSON_TYPE = 'application/json; charset=utf-8';

/** Fastify takes bytes from a serializer as well as text (see its onSendEnd); its types speak of text alone. */
export function writeWith<T>(reply: Pick<FastifyReply, 'type' | 'serializer'>, toBytes: (answer: T) => Buffer): void {
  reply.type(JSON_TYPE);
  reply.serializer(toBytes as unknown as (answer: T) => string);
}

/**
 * Of lists that are still somebody's, as bytes: ten thousand containers are 15 MB, few of them change from one call to the next,
 * and turning one text of all into UTF-8 took longer than everything else.
 */
const written = new WeakMap<readonly ContainerSummary[], Buffer>();

function bytesOf(containers: readonly ContainerSummary[]): Buffer {
  const known = written.get(containers);
  if (known !== undefined) return known;
  const bytes = Buffer.from(JSON.stringify(containers));
  written.set(containers, bytes);
  return bytes;
}

type Original = Record<string, ContainerSummary[]>;
type Listed = { hosts: HostContainers[] };

/** Serializes the answer of `GET /cargo`. The lists were checked when they came in. */
export function originalListBytes(answer: Original): Buffer {
  const parts = Object.entries(answer).flatMap(([key, containers], index) => {
    return [Buffer.from(`${index === 0 ? '' : ','}${JSON.stringify(key)}:`), bytesOf(containers)];
  });
  return Buffer.concat([Buffer.from('{'), ...parts, Buffer.from('}')]);
}

/** The same for `GET /v1/containers`. */
export function hostListBytes({ hosts }: Listed): Buffer {
  const parts = hosts.flatMap(({ containers, ...rest }, index) => {
    const before = `${index === 0 ? '' : ','}${JSON.stringify(rest).slice(0, -1)},"containers":`;
    return [Buffer.from(before), bytesOf(containers), Buffer.from('}')];
  });
  return Buffer.concat([Buffer.from('{"hosts":['), ...parts, Buffer.from(']}')]);
}
