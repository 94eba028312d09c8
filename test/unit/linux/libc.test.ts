import { expect, test } from 'vitest';
import { isErrno, SystemCallError } from '../../../src/linux/libc.ts';

test('a system call’s error has its name, also where Node.js knows only the number', () => {
  expect(new SystemCallError(2, 'open').code).toBe('ENOENT');
  expect(isErrno(new SystemCallError(116, 'open_by_handle_at'), 'ESTALE')).toBe(true);
  expect(isErrno(new SystemCallError(122, 'write'), 'EDQUOT')).toBe(true);
});
