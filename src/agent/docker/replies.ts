import { z } from 'zod';

/** The parts of Docker's replies that Cargo looks at; everything else passes through untouched. */

const Strings = z.record(z.string(), z.string());

export const MountPoint = z.looseObject({
  Type: z.string(),
  Name: z.string().optional(),
  Source: z.string().default(''),
  Destination: z.string(),
  Driver: z.string().optional(),
  Mode: z.string().default(''),
  RW: z.boolean(),
});
export type MountPoint = z.infer<typeof MountPoint>;

export const Endpoint = z.looseObject({
  NetworkID: z.string().optional(),
  IPAMConfig: z.record(z.string(), z.unknown()).nullish(),
  Links: z.array(z.string()).nullish(),
  Aliases: z.array(z.string()).nullish(),
  DriverOpts: Strings.nullish(),
  MacAddress: z.string().optional(),
  IPAddress: z.string().optional(),
});
export type Endpoint = z.infer<typeof Endpoint>;

const PortBinding = z.looseObject({ HostIp: z.string().default(''), HostPort: z.string().default('') });

export const HostConfig = z.looseObject({
  Binds: z.array(z.string()).nullish(),
  Mounts: z.array(z.looseObject({ Type: z.string(), Source: z.string().optional(), Target: z.string() })).nullish(),
  NetworkMode: z.string().default('default'),
  PortBindings: z.record(z.string(), z.array(PortBinding).nullable()).nullish(),
  PublishAllPorts: z.boolean().default(false),
  RestartPolicy: z.record(z.string(), z.unknown()).nullish(),
  AutoRemove: z.boolean().default(false),
  VolumesFrom: z.array(z.string()).nullish(),
  Links: z.array(z.string()).nullish(),
  IpcMode: z.string().default(''),
  PidMode: z.string().default(''),
  UTSMode: z.string().default(''),
  UsernsMode: z.string().default(''),
  Tmpfs: Strings.nullish(),
  Devices: z.array(z.looseObject({ PathOnHost: z.string() })).nullish(),
  DeviceRequests: z.array(z.looseObject({ Driver: z.string().optional() })).nullish(),
  Runtime: z.string().optional(),
  LogConfig: z.looseObject({ Type: z.string() }).optional(),
  NanoCpus: z.number().default(0),
});
export type HostConfig = z.infer<typeof HostConfig>;

export const Health = z.looseObject({
  Status: z.string(),
  Log: z.array(z.looseObject({ ExitCode: z.number(), Output: z.string() })).nullish(),
});

export const ContainerInspect = z.looseObject({
  Id: z.string(),
  Name: z.string(),
  Image: z.string(),
  RestartCount: z.number().default(0),
  State: z.looseObject({
    Status: z.string(),
    Running: z.boolean(),
    Paused: z.boolean().default(false),
    Restarting: z.boolean().default(false),
    Dead: z.boolean().default(false),
    OOMKilled: z.boolean().default(false),
    ExitCode: z.number(),
    Error: z.string().default(''),
    StartedAt: z.string().default(''),
    Health: Health.nullish(),
  }),
  Config: z.looseObject({
    Image: z.string(),
    Hostname: z.string().default(''),
    MacAddress: z.string().optional(),
    Labels: Strings.nullish(),
    Entrypoint: z.array(z.string()).nullish(),
    Volumes: z.record(z.string(), z.unknown()).nullish(),
    StopSignal: z.string().optional(),
    StopTimeout: z.number().nullish(),
  }),
  HostConfig,
  GraphDriver: z.looseObject({ Name: z.string(), Data: Strings.nullish() }).nullish(),
  Mounts: z.array(MountPoint).default([]),
  NetworkSettings: z.looseObject({ Networks: z.record(z.string(), Endpoint).default({}) }),
});
export type ContainerInspect = z.infer<typeof ContainerInspect>;

export const Changes = z.array(z.looseObject({ Path: z.string() })).nullable();

/** One row of `GET /containers/json`. */
export const ListedContainer = z.looseObject({
  Id: z.string(),
  Names: z.array(z.string()).default([]),
  ImageID: z.string().default(''),
  State: z.string().default(''),
  Ports: z
    .array(
      z.looseObject({
        IP: z.string().optional(),
        PrivatePort: z.number(),
        PublicPort: z.number().optional(),
        Type: z.string(),
      }),
    )
    .default([]),
  Mounts: z.array(MountPoint).default([]),
  NetworkSettings: z.looseObject({ Networks: z.record(z.string(), z.unknown()).default({}) }).default({ Networks: {} }),
});
export type ListedContainer = z.infer<typeof ListedContainer>;

export const ImageInspect = z.looseObject({
  Id: z.string(),
  RepoTags: z.array(z.string()).nullish(),
  Size: z.number(),
  Architecture: z.string(),
  Os: z.string(),
  RootFS: z.looseObject({ Layers: z.array(z.string()).default([]) }),
  Config: z.looseObject({ Entrypoint: z.array(z.string()).nullish() }).nullish(),
});
export type ImageInspect = z.infer<typeof ImageInspect>;

export const ListedImage = z.looseObject({ Id: z.string() });

export const VolumeInspect = z.looseObject({
  Name: z.string(),
  Driver: z.string(),
  Mountpoint: z.string(),
  Labels: Strings.nullish(),
  Options: Strings.nullish(),
});
export type VolumeInspect = z.infer<typeof VolumeInspect>;

const IpamConfig = z.looseObject({
  Subnet: z.string().optional(),
  Gateway: z.string().optional(),
  IPRange: z.string().optional(),
});

export const NetworkInspect = z.looseObject({
  Id: z.string(),
  Name: z.string(),
  Driver: z.string(),
  Scope: z.string().default('local'),
  EnableIPv6: z.boolean().default(false),
  Internal: z.boolean().default(false),
  Attachable: z.boolean().default(false),
  Options: Strings.nullish(),
  Labels: Strings.nullish(),
  IPAM: z
    .looseObject({ Driver: z.string().optional(), Options: Strings.nullish(), Config: z.array(IpamConfig).nullish() })
    .optional(),
  ConfigFrom: z.looseObject({ Network: z.string().default('') }).nullish(),
  Containers: z
    .record(z.string(), z.looseObject({ Name: z.string().default(''), IPv4Address: z.string().default('') }))
    .nullish(),
});
export type NetworkInspect = z.infer<typeof NetworkInspect>;

export const EngineInfo = z.looseObject({
  ServerVersion: z.string(),
  DockerRootDir: z.string(),
  Driver: z.string(),
  DriverStatus: z.array(z.array(z.string())).nullish(),
  Architecture: z.string(),
  OSType: z.string().default('linux'),
  NCPU: z.number().default(0),
  SecurityOptions: z.array(z.string()).nullish(),
  Runtimes: z.record(z.string(), z.unknown()).nullish(),
  Plugins: z.looseObject({ Log: z.array(z.string()).nullish() }).optional(),
});
export type EngineInfo = z.infer<typeof EngineInfo>;

export const EngineVersion = z.looseObject({ ApiVersion: z.string() });
export const Created = z.looseObject({ Id: z.string() });
