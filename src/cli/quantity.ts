import { CargoError } from '../api/cargo-error.ts';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
const FACTORS = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 } as const;
const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** `10M`, `1.5g`, `4096`: bytes per second, K/M/G = 1024. @throws CargoError BAD_REQUEST */
export function parseRate(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kmg]?)$/i.exec(text.trim());
  const factor = FACTORS[(match?.[2] ?? '').toLowerCase() as keyof typeof FACTORS];
  const rate = Number(match?.[1]) * factor;
  if (!(rate >= 1 && Number.isFinite(rate))) {
    throw new CargoError('BAD_REQUEST', `"${text}" is no rate: write bytes per second such as 500K, 10M or 1.5G`);
  }
  return Math.round(rate);
}

/** `none`, which lifts a limit, or a rate. A word and not null, which commander would take for a missing value. @throws CargoError BAD_REQUEST */
export function parseLimit(text: string): number | 'none' {
  return text.trim().toLowerCase() === 'none' ? 'none' : parseRate(text);
}

/** `24h`, `30m`, `1h30m`, `90` (seconds): whole seconds. @throws CargoError BAD_REQUEST */
export function parseDuration(text: string): number {
  const trimmed = text.trim().toLowerCase();
  const parts = /^\d+$/.test(trimmed) ? [`${trimmed}s`] : (trimmed.match(/\d+[smhd]/g) ?? []);
  const seconds = parts.reduce((sum, part) => {
    return sum + Number(part.slice(0, -1)) * SECONDS[part.slice(-1) as keyof typeof SECONDS];
  }, 0);
  const whole = parts.join('') === trimmed || /^\d+$/.test(trimmed);
  if (!whole || seconds < 1 || !Number.isSafeInteger(seconds)) {
    throw new CargoError('BAD_REQUEST', `"${text}" is no duration: write it as 30m, 24h or 7d`);
  }
  return seconds;
}

/** 162529280 → `155.0 MiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 1023.95 would be shown as 1024.0 of the smaller unit
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/** 1420 → `1.42 s`, 65000 → `1 min 5 s`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 59_995) return `${(milliseconds / 1000).toFixed(2)} s`;
  return formatSeconds(milliseconds / 1000);
}

/** Of one access that waited: 0.42 → `0.4 ms`, 41.3 → `41 ms`, 1420 → `1.42 s`. */
export function formatWait(milliseconds: number): string {
  if (milliseconds >= 999.5) return formatDuration(milliseconds);
  return `${milliseconds < 9.95 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
}

/** 4 → `4 s`, 3725 → `1 h 2 min`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
