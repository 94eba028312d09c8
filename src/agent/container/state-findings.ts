import type { Finding } from '../../api/plan.ts';
import type { ContainerInspect } from '../docker/index.ts';

/** What the container's state, or who manages it, says against a move. */
export function stateFindings(inspect: ContainerInspect): Finding[] {
  const name = inspect.Name.replace(/^\//, '');
  const blocker = (code: string, message: string): Finding => ({ level: 'blocker', code, subject: name, message });
  const findings: Finding[] = [];
  const { State, HostConfig, Config } = inspect;
  if (HostConfig.AutoRemove) {
    const message = `Docker removes ${name} and its anonymous volumes when it stops (--rm), so there is no way back`;
    findings.push(blocker('auto-remove', `${message}: create it again without --rm`));
  }
  if (State.Paused) findings.push(blocker('paused', `${name} is paused: unpause it first (docker unpause ${name})`));
  if (State.Restarting) {
    findings.push(
      blocker('restarting', `${name} keeps restarting: see docker logs ${name}, and stop or mend it first`),
    );
  }
  if (State.Dead || State.Status === 'removing' || State.Status === 'dead') {
    findings.push(blocker('being-removed', `${name} is being removed (state ${State.Status})`));
  }
  if (Object.keys(Config.Labels ?? {}).some((label) => label.startsWith('com.docker.swarm.'))) {
    findings.push(
      blocker('swarm-task', `${name} is a task of a swarm service: Swarm places it, move the service there`),
    );
  }
  return findings;
}
