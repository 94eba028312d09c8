/** A container with one volume that a bench moves. */
export type Workload = {
  container: string;
  volume: string;
  /** The command that makes it, not started, on a host that doesn't have it. */
  create: readonly string[];
};

/** Whoever asks the container, wherever it runs, and notes each answer, in ms of the monotonic clock. */
export type Client = {
  readonly answers: readonly { at: number }[];
  /** Resolves once there was an answer after this moment. */
  answersAfter(moment: number, signal: AbortSignal): Promise<void>;
} & AsyncDisposable;

export function dataOf({ volume }: Workload): string {
  return `/var/lib/docker/volumes/${volume}/_data`;
}
