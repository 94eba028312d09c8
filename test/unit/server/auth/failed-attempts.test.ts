import { expect, test } from 'vitest';
import { FailedAttempts } from '../../../../src/server/auth/failed-attempts.ts';

let nowMs = 0;
const attempts = (): FailedAttempts => new FailedAttempts(() => nowMs);

function failUntilRefused(failures: FailedAttempts, address: string): number {
  for (let count = 0; ; count += 1) {
    try {
      failures.refuseIfTooMany(address);
    } catch {
      return count;
    }
    failures.failed(address);
  }
}

test('after ten failures an address waits, and other addresses do not', () => {
  const failures = attempts();
  expect(failUntilRefused(failures, '10.0.0.1')).toBe(10);
  const refusal = { code: 'TOO_MANY_ATTEMPTS', details: { retryAfterSeconds: 6 } };
  expect(() => failures.refuseIfTooMany('10.0.0.1')).toThrow(expect.objectContaining(refusal));
  failures.refuseIfTooMany('10.0.0.2');
});

test('one more try is forgiven each six seconds, all after a minute', () => {
  const failures = attempts();
  failUntilRefused(failures, '10.0.0.1');
  nowMs += 5_999;
  expect(() => failures.refuseIfTooMany('10.0.0.1')).toThrow(/try again in 1 s/);
  nowMs += 1;
  expect(failUntilRefused(failures, '10.0.0.1')).toBe(1);
  nowMs += 60_000;
  expect(failUntilRefused(failures, '10.0.0.1')).toBe(10);
});

test.each([
  ['the same 64 bits of IPv6', '2001:db8:1:2::1', '2001:db8:1:2:3:4:5:6', true],
  ['other 64 bits of IPv6', '2001:db8:1:2::1', '2001:db8:1:3::1', false],
  ['IPv4 written as IPv6', '::ffff:10.0.0.1', '10.0.0.1', true],
  ['another IPv4 written as IPv6', '::ffff:10.0.0.1', '::ffff:10.0.0.2', false],
])('%s', (_what, guesser, other, shared) => {
  const failures = attempts();
  failUntilRefused(failures, guesser);
  const ask = (): void => failures.refuseIfTooMany(other);
  if (shared) expect(ask).toThrow();
  else ask();
});

test('a flood of addresses forgets the oldest, not the one that guesses now', () => {
  const failures = attempts();
  failUntilRefused(failures, 'oldest');
  for (let index = 0; index < 10_000; index += 1) failures.failed(`address-${index}`);
  failures.refuseIfTooMany('oldest');
  failUntilRefused(failures, 'guesser');
  expect(() => failures.refuseIfTooMany('guesser')).toThrow();
});
