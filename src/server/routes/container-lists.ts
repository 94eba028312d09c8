import type { ContainerSummary, HostContainers } from '../../api/host.ts';

/** A reply with a serializer of its own has no type by itself. */
export const JSON_TYPE = 'application/json; charset=utf-8';

/** Of lists that are still somebody's: ten thousand containers are 15 MB, and few of them change from one call to the next. */
const texts = new WeakMap<readonly ContainerSummary[], string>();

function textOf(containers: readonly ContainerSummary[]): string {
  const known = texts.get(containers);
  if (known !== undefined) return known;
  const text = JSON.stringify(containers);
  texts.set(containers, text);
  return text;
}

type Original = Record<string, ContainerSummary[]>;
type Listed = { hosts: HostContainers[] };

/** Serializes the answer of `GET /cargo`. The lists were checked when they came in. */
export function originalListText(answer: Original): string {
  const members = Object.entries(answer).map(([key, containers]) => `${JSON.stringify(key)}:${textOf(containers)}`);
  return `{${members.join(',')}}`;
}

/** The same for `GET /v1/containers`. */
export function hostListText({ hosts }: Listed): string {
  const items = hosts.map(({ containers, ...rest }) => {
    return `${JSON.stringify(rest).slice(0, -1)},"containers":${textOf(containers)}}`;
  });
  return `{"hosts":[${items.join(',')}]}`;
}
