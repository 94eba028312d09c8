import { expect, test } from 'vitest';
import { parseExports } from '../../../demo/lab.ts';

test('the lines that a shell would export are read, quotes in them too', () => {
  expect(parseExports("export CARGO_SERVER='https://10.0.0.1:5000'\nexport ODD='it'\\''s'\nother\n")).toEqual({
    CARGO_SERVER: 'https://10.0.0.1:5000',
    ODD: "it's",
  });
});
