export { hasStatus } from './docker-error.ts';
export { DEFAULT_STOP_SECONDS, Engine } from './engine.ts';
export { loadedReferences } from './load-reply.ts';
export type {
  Endpoint,
  EngineInfo,
  HostConfig,
  ImageInspect,
  ListedContainer,
  MountPoint,
  VolumeInspect,
} from './replies.ts';
export { ContainerInspect, NetworkInspect } from './replies.ts';
export { storeOf, syncStore } from './sync-store.ts';
