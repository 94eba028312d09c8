import { expect, test } from 'vitest';
import { printable, record, table } from '../../../src/cli/table.ts';

test('columns are as wide as their widest cell, without blanks at the end of a line', () => {
  const rows = [
    ['h1', 'mysqldemo', 'Up'],
    ['host-two', 'a', ''],
  ];
  expect(table(['HOST', 'NAME', 'STATUS'], rows)).toBe(
    ['HOST      NAME       STATUS', 'h1        mysqldemo  Up', 'host-two  a', ''].join('\n'),
  );
});

test('a record aligns its values and leaves out what is unknown', () => {
  expect(
    record([
      ['container', 'db'],
      ['rate', null],
      ['to', 'h2'],
    ]),
  ).toBe('container  db\nto         h2\n');
});

test('control characters are spelled out, so that no name can write to the terminal', () => {
  expect(printable('a\x1b[2Jb\r\n\u009bé')).toBe('a\\x1b[2Jb\\x0d\\x0a\\x9bé');
});
