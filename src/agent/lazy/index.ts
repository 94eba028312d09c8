export { coolHydrator, warmHydrator } from './hydrator-process.ts';
export {
  armVolume,
  controlVolume,
  dropVolume,
  finishVolume,
  forgetVolume,
  hasBegun,
  isProtected,
  stageVolume,
  volumeStatus,
} from './lazy-volume.ts';
export { probe } from './probe.ts';
export type { SourceAddress } from './source-address.ts';
export { linkTo, type SourceLink } from './source-link.ts';
export type { LazyStatus } from './status.ts';
export { warmFilesThread } from './threaded-files.ts';
