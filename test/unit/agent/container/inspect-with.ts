import { ContainerInspect } from '../../../../src/agent/docker/index.ts';

/** The reply of an inspect of an ordinary container, but for these parts. */
export function inspectWith(parts: {
  Config?: object;
  HostConfig?: object;
  Mounts?: object[];
  NetworkSettings?: object;
}): ContainerInspect {
  return ContainerInspect.parse({
    Id: '0123456789abcdef',
    Name: '/it',
    Image: 'sha256:1',
    State: { Status: 'running', Running: true, ExitCode: 0 },
    Mounts: parts.Mounts ?? [],
    Config: { Image: 'app:1', ...parts.Config },
    HostConfig: { ...parts.HostConfig },
    NetworkSettings: parts.NetworkSettings ?? { Networks: {} },
  });
}
