import type { DockerHost } from './docker-host.ts';

/** Stops the Docker daemon of a host and starts it again with the same arguments; returns once it answers. */
export async function restartDocker(host: DockerHost): Promise<void> {
  const stop = 'pid=$(cat /run/docker.pid); tr "\\0" "\\n" < /proc/$pid/cmdline > /tmp/dockerd.args; kill $pid';
  const wait = 'while [ -e /run/docker.pid ]; do sleep 0.05; done';
  const start = 'xargs -d "\\n" -a /tmp/dockerd.args setsid nohup > /tmp/dockerd.log 2>&1 < /dev/null &';
  const answers = 'for i in $(seq 200); do docker version > /dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1';
  host.service('sh', '-c', [stop, wait, start, answers].join('\n'));
}
