import { closeSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { occupy } from '../../../src/linux/descriptors.ts';

test('numbers that must not be given out are not, the lowest free one among them', () => {
  const lowest = openSync('/dev/null', 'r');
  closeSync(lowest);
  occupy([lowest, lowest + 3]);
  const given = Array.from({ length: 8 }, () => openSync('/dev/null', 'r'));
  for (const fd of given) closeSync(fd);
  expect(given).not.toContain(lowest);
  expect(given).not.toContain(lowest + 3);
});
