import { expect, test } from 'vitest';
import type { ContainerSummary } from '../../../src/api/host.ts';
import { inDependencyOrder } from '../../../src/cli/drain-order.ts';
import { exampleContainer } from './examples.ts';

function service(name: string, needs: string[], project = 'shop'): ContainerSummary {
  const Labels = {
    'com.docker.compose.project': project,
    'com.docker.compose.service': name,
    'com.docker.compose.depends_on': needs.map((need) => `${need}:service_started:false`).join(','),
  };
  return { ...exampleContainer(name, 'Up'), Labels };
}

const order = (containers: ContainerSummary[]): string[] =>
  inDependencyOrder(containers).map(({ Names }) => Names[0]?.slice(1) ?? '');

test('what a service depends on, however far, comes before it; the rest goes by name', () => {
  const web = service('a-web', ['app', 'cache']);
  const app = service('app', ['db']);
  expect(order([web, exampleContainer('b-alone', 'Up'), app, service('db', []), service('cache', [])])).toEqual([
    'db',
    'app',
    'cache',
    'a-web',
    'b-alone',
  ]);
});

test('a service of another project is not meant, and a circle has an end', () => {
  expect(order([service('app', ['db']), service('db', [], 'other')])).toEqual(['app', 'db']);
  expect(order([service('a', ['b']), service('b', ['a'])])).toEqual(['b', 'a']);
});
