import { availableParallelism, loadavg, release } from 'node:os';

/** What a figure is worth depends on it. */
export function describeMachine(): string {
  const [minute = 0] = loadavg();
  const day = new Date().toISOString().slice(0, 16).replace('T', ' ');
  return `${day} UTC, ${availableParallelism()} cores, load ${minute.toFixed(1)}, Linux ${release()}, Node.js ${process.version}`;
}
