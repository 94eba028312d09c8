import { CargoError } from '../api/cargo-error.ts';

const UNITS_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SHORTEST_MS = 5_000;
const LONGEST_MS = 10 * 365 * 86_400_000;

/** How long the certificates of hosts and server last, ms, e.g. of `365d`. @throws CargoError BAD_REQUEST */
export function parseCertificateLife(text: string): number {
  const [, number, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = Number(number) * (UNITS_MS[unit] ?? Number.NaN);
  if (ms >= SHORTEST_MS && ms <= LONGEST_MS) return ms;
  throw new CargoError('BAD_REQUEST', `${text} is no life for certificates: write e.g. 365d or 12h, at least 5s`);
}
