import { z } from 'zod';

export const Strategy = z.enum(['precopy', 'lazy']);
export type Strategy = z.infer<typeof Strategy>;

/** One tree of data that travels with the container. The index names it in the transfer protocol. */
export const DataMount = z.object({
  index: z.int().min(0),
  kind: z.enum(['volume', 'bind']),
  name: z.string().describe('Volume name at the source, or the host path of a bind mount.'),
  anonymous: z.boolean().describe('A volume that Docker named by itself; it gets a new name at the target.'),
  path: z.string().describe('Where the data is at the source: the volume’s mountpoint or the host path.'),
  isFile: z.boolean().describe('A bind mount of a single file.'),
  destinations: z.array(z.string()).describe('Mount points in the container.'),
  readOnly: z.boolean(),
  labels: z.record(z.string(), z.string()),
  driverOpts: z.record(z.string(), z.string()),
  files: z.int().min(0).describe('Entries of every type, the root not counted.'),
  bytes: z.number().min(0).describe('Allocated bytes of regular files.'),
  fingerprint: z
    .string()
    .nullable()
    .default(null)
    .describe('Of a small bind-mounted file that the container only reads: owner, mode and content as one hash.'),
  strategy: Strategy.default('precopy').describe('lazy: content of large files follows when the container runs.'),
});
export type DataMount = z.infer<typeof DataMount>;

/** A volume whose data is on no host: a network file system, or a plugin's. */
export const AttachedVolume = z.object({
  name: z.string(),
  driver: z.string(),
  labels: z.record(z.string(), z.string()),
  driverOpts: z.record(z.string(), z.string()),
});
export type AttachedVolume = z.infer<typeof AttachedVolume>;

export const ImageDefinition = z.object({
  id: z.string().describe('Image id in the store of the source.'),
  reference: z.string().describe('What the container was created from (Config.Image).'),
  referenceIsCurrent: z.boolean().describe('The reference still names this image at the source.'),
  layers: z.array(z.string()).describe('RootFS.Layers: diff ids, the base first.'),
  bytes: z.number(),
  architecture: z.string(),
  os: z.string(),
});
export type ImageDefinition = z.infer<typeof ImageDefinition>;

/** All that the target needs to make the same container: Docker's own words (inspect) beside what Cargo worked out. */
export const ContainerDefinition = z.object({
  id: z.string(),
  name: z.string().describe('Without the leading slash.'),
  running: z.boolean(),
  inspect: z.record(z.string(), z.unknown()).describe('GET /containers/<id>/json, whole.'),
  image: ImageDefinition,
  networks: z
    .array(z.record(z.string(), z.unknown()))
    .describe('GET /networks/<id> of each user-defined network that it is on.'),
  mounts: z.array(DataMount),
  attached: z.array(AttachedVolume).default([]).describe('Made at the target too; nothing of them is copied.'),
});
export type ContainerDefinition = z.infer<typeof ContainerDefinition>;

/**
 * Data that Cargo left on a host when it moved a container away. A migration back onto that host uses it as the base:
 * only differences travel. Nothing else that exists at a target is ever written to.
 */
export const Base = z.object({
  kind: z.enum(['volume', 'bind']),
  name: z.string().describe('Volume name, or host path of the bind mount.'),
  dataPath: z.string().describe('Where the data stands now: the volume’s directory aside, or the bind path.'),
  destinations: z.array(z.string()),
  anonymous: z.boolean(),
  migrationId: z.string().describe('The migration that left it.'),
  containerId: z.string().describe('The stopped container that it belonged to on that host.'),
  containerName: z.string().describe('The name the container had before it was moved away.'),
});
export type Base = z.infer<typeof Base>;
