import type { Finding } from '../../api/plan.ts';
import { type ContainerInspect, NetworkInspect } from '../docker/index.ts';

/** Networks that can't be made again on another host. */
export function networkFindings(inspect: ContainerInspect, networks: readonly unknown[]): Finding[] {
  const known = networks.map((network) => NetworkInspect.parse(network));
  const blocker = (subject: string, code: string, message: string): Finding => ({
    level: 'blocker',
    code,
    subject,
    message,
  });
  const findings: Finding[] = [];
  for (const network of known) {
    if (network.Driver !== 'bridge' || network.Scope !== 'local') {
      const message = `network ${network.Name} is of kind ${network.Driver} (${network.Scope}): Cargo moves bridge networks alone`;
      findings.push(blocker(network.Name, 'network-driver', message));
    }
    if (network.ConfigFrom?.Network) {
      const message = `network ${network.Name} takes its configuration from ${network.ConfigFrom.Network}, which Cargo does not move`;
      findings.push(blocker(network.Name, 'network-config-from', message));
    }
  }
  const builtIn = new Set(['bridge', 'host', 'none', ...known.map((network) => network.Name)]);
  for (const name of Object.keys(inspect.NetworkSettings.Networks)) {
    if (!builtIn.has(name))
      findings.push(blocker(name, 'network-missing', `network ${name} does not exist any more on this host`));
  }
  return findings;
}
