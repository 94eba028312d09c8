import type { ContainerSummary } from '../api/host.ts';

/** Without the leading slash. */
export function nameOf({ Names, Id }: ContainerSummary): string {
  return Names[0]?.replace(/^\//, '') ?? Id.slice(0, 12);
}
