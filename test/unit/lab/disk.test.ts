import { expect, test } from 'vitest';
import { parseSize } from '../../../lab/disk.ts';

test('a size is a number and a binary unit', () => {
  expect(parseSize('512M')).toBe(512 * 2 ** 20);
  expect(parseSize('20G')).toBe(20 * 2 ** 30);
  expect(parseSize('1T')).toBe(2 ** 40);
});

test.each(['', '20', '20g', '-1G', '1.5G', '511M', '0G', 'G', '20 G'])('%j is refused', (text) => {
  expect(() => parseSize(text)).toThrow(/disk size/);
});
