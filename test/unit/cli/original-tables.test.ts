import { expect, test } from 'vitest';
import { originalList, originalStatus } from '../../../src/cli/original-tables.ts';
import { exampleContainer, h1, h2 } from './examples.ts';

test('the list is the one of the guide, to the letter', () => {
  const list = originalList({
    [`/agent/${h2.id}`]: [exampleContainer('testme', 'Up 12 days')],
    [`/agent/${h1.id}`]: [exampleContainer('mysqldemo', 'Up 2 minutes'), exampleContainer('testme', 'Up 2 weeks')],
  });
  expect(list).toBe(`\
HOSTID                       CONTAINER                            STATUS
-------                   ------------                      ------------
ee80061b-0d11-4b7a-aeeb-f8cd4ddbd9b8
                                testme                        Up 12 days
457e43a5-e62d-4669-ab0f-6f5ae7ec7492
                             mysqldemo                      Up 2 minutes
                                testme                        Up 2 weeks
`);
});

test('a container name that is too long for its column still stands apart from the status', () => {
  const name = 'n'.repeat(60);
  const list = originalList({ [`/agent/${h1.id}`]: [exampleContainer(name, 'Up 2 minutes (healthy)')] });
  expect(list).toContain(`\n${name} Up 2 minutes (healthy)\n`);
});

test.each([
  [0, '', '', 'mysqldemo              137             0         2015-11-12 05:38:21     '],
  [
    100,
    '2015-11-12 05:39:15',
    '',
    'mysqldemo              137             100       2015-11-12 05:38:21     2015-11-12 05:39:15     ',
  ],
  [
    137,
    '2015-11-12 05:39:15',
    '2015-11-12 05:39:37',
    'mysqldemo              137             137       2015-11-12 05:38:21     2015-11-12 05:39:15     2015-11-12 05:39:37',
  ],
])('the status with %d files copied is the one of the guide, to the letter', (curr, update, complete, row) => {
  const start = '2015-11-12 05:38:21';
  const replication = { start, update, complete, curr, total: 137, completed: complete !== '' };
  expect(originalStatus('mysqldemo', replication)).toBe(`\
CONTAINER       TOTAL FILES     FILES COPIED              STARTED AT            LAST UPDATED            COMPLETED AT
-------         ------------    ------------            ------------            ------------            ------------
${row}
`);
});
