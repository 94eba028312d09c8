import type { Finding } from '../../api/plan.ts';
import type { ContainerInspect } from '../docker/index.ts';

type Level = Finding['level'];

/** What the container's options say against a move, or lose by it. */
export function configFindings(inspect: ContainerInspect): Finding[] {
  return [
    ...namespaceFindings(inspect),
    ...deviceFindings(inspect),
    ...lossFindings(inspect),
    ...portFindings(inspect),
  ];
}

function namespaceFindings({ HostConfig }: ContainerInspect): Finding[] {
  const findings: Finding[] = [];
  for (const [what, mode] of [
    ['network', HostConfig.NetworkMode],
    ['IPC', HostConfig.IpcMode],
    ['process', HostConfig.PidMode],
  ] as const) {
    if (!mode.startsWith('container:')) continue;
    const message = `the container lives in the ${what} namespace of another container, which does not come along: give it one of its own`;
    findings.push(finding('blocker', `${what.toLowerCase()}-of-container`, mode, message));
  }
  return findings;
}

function deviceFindings({ HostConfig }: ContainerInspect): Finding[] {
  const devices = (HostConfig.Devices ?? []).map((device) =>
    finding(
      'blocker',
      'device',
      device.PathOnHost,
      `device ${device.PathOnHost} belongs to this host and can't be moved`,
    ),
  );
  const requests = (HostConfig.DeviceRequests ?? []).map((request) => {
    const subject = request.Driver || 'gpu';
    return finding(
      'blocker',
      'device-request',
      subject,
      `the container asks for devices (${subject}), which Cargo does not move`,
    );
  });
  return [...devices, ...requests];
}

function lossFindings(inspect: ContainerInspect): Finding[] {
  const findings: Finding[] = [];
  const tmpfs = inspect.Mounts.filter((mount) => mount.Type === 'tmpfs').map((mount) => mount.Destination);
  for (const destination of new Set([...tmpfs, ...Object.keys(inspect.HostConfig.Tmpfs ?? {})])) {
    findings.push(
      finding(
        'warning',
        'tmpfs-lost',
        destination,
        `${destination} is in memory (tmpfs): it starts empty at the target`,
      ),
    );
  }
  const name = inspect.Name.replace(/^\//, '');
  findings.push(finding('info', 'logs-stay', name, 'what docker logs shows of the past stays on the source host'));
  return findings;
}

function portFindings({ HostConfig }: ContainerInspect): Finding[] {
  const dynamic = Object.entries(HostConfig.PortBindings ?? {})
    .filter(([, bindings]) => (bindings ?? []).some(({ HostPort }) => !/^[1-9]\d*$/.test(HostPort)))
    .map(([port]) => port);
  if (HostConfig.PublishAllPorts) dynamic.push('all exposed ports');
  return dynamic.map((port) =>
    finding(
      'warning',
      'host-port-changes',
      port,
      `Docker chooses the host port of ${port}: it may be another one at the target`,
    ),
  );
}

function finding(level: Level, code: string, subject: string, message: string): Finding {
  return { level, code, subject, message };
}
