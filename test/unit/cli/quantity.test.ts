import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CargoError } from '../../../src/api/cargo-error.ts';
import {
  formatBytes,
  formatDuration,
  formatRate,
  formatSeconds,
  formatWait,
  parseDuration,
  parseLimit,
  parseRate,
} from '../../../src/cli/quantity.ts';

const FACTORS = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 } as const;

describe('a rate', () => {
  test('is bytes per second with K, M and G as powers of 1024, in either case', () => {
    const units = fc.constantFrom(...(Object.keys(FACTORS) as (keyof typeof FACTORS)[]));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), units, fc.boolean(), (count, unit, lower) => {
        expect(parseRate(`${count}${lower ? unit.toLowerCase() : unit}`)).toBe(count * FACTORS[unit]);
      }),
    );
  });

  test('may have decimals', () => {
    expect(parseRate('1.5K')).toBe(1536);
  });

  test('may be none where a limit is set', () => {
    expect([parseLimit('None'), parseLimit('2K')]).toEqual(['none', 2048]);
    expect(() => parseLimit('never')).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
  });

  test('is refused as a bad request whatever else it may be', () => {
    const texts = fc.oneof(
      fc.constantFrom('', '0', '-1', '10X', 'M', '1 0', '1e3', '10MM', '0x10', 'Infinity', '9'.repeat(400)),
      fc.string().filter((text) => !/^\s*[\d.]+[kmg]?\s*$/i.test(text)),
    );
    fc.assert(
      fc.property(texts, (text) => {
        expect(() => parseRate(text)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
      }),
    );
  });
});

describe('a duration', () => {
  test('is a sum of days, hours, minutes and seconds', () => {
    const count = fc.integer({ min: 0, max: 1000 });
    fc.assert(
      fc.property(count, count, count, fc.integer({ min: 1, max: 1000 }), (d, h, m, s) => {
        expect(parseDuration(`${d}d${h}h${m}m${s}s`)).toBe(d * 86_400 + h * 3600 + m * 60 + s);
      }),
    );
  });

  test('without a unit is in seconds', () => {
    expect(parseDuration('90')).toBe(90);
  });

  test.each(['', '0', '0h', 'h', '1x', '1h 5', '-5m', '1h30'])('%j is refused', (text) => {
    expect(() => parseDuration(text)).toThrow(CargoError);
  });
});

describe('bytes', () => {
  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [155 * 1024 * 1024, '155.0 MiB'],
    [1024 * 1024 - 1, '1.0 MiB'],
    [3 * 1024 ** 5, '3.0 PiB'],
  ])('%d are shown as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  test('are never shown as 1024 of a unit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 53 }), (bytes) => {
        expect(Number.parseFloat(formatBytes(bytes))).toBeLessThan(1024);
      }),
    );
  });

  test('of a rate are per second', () => {
    expect(formatRate(1536)).toBe('1.5 KiB/s');
  });
});

test.each([
  [1420, '1.42 s'],
  [59_999, '1 min 0 s'],
  [65_000, '1 min 5 s'],
])('%d ms are shown as %s', (milliseconds, text) => {
  expect(formatDuration(milliseconds)).toBe(text);
});

test.each([
  [4.4, '4 s'],
  [59.6, '1 min 0 s'],
  [3725, '1 h 2 min'],
])('%d seconds are shown as %s', (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text);
});

test.each([
  [0, '0.0 ms'],
  [0.44, '0.4 ms'],
  [9.96, '10 ms'],
  [41.3, '41 ms'],
  [999.4, '999 ms'],
  [999.6, '1.00 s'],
  [65_000, '1 min 5 s'],
])('an access that waited %d ms is shown as %s', (milliseconds, text) => {
  expect(formatWait(milliseconds)).toBe(text);
});
