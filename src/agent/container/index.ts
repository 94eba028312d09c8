import { join } from 'node:path';
import type { Logger } from 'pino';
import { CargoError } from '../../api/cargo-error.ts';
import { identityFiles } from '../data-dir.ts';
import { Engine } from '../docker/index.ts';
import { exportImage, ImageLoads } from '../image/index.ts';
import { warmFilesThread } from '../lazy/index.ts';
import { measureTree, warmWorkers } from '../volume/index.ts';
import { abandon } from './abandon.ts';
import { describe } from './describe.ts';
import { fence } from './fence.ts';
import { finish } from './finish.ts';
import { freeze } from './freeze.ts';
import { letGo } from './hold.ts';
import { LazyMounts } from './lazy-mounts.ts';
import type { ContainerModule } from './module.ts';
import { preflight } from './preflight.ts';
import { definitionOf } from './records.ts';
import { refuse } from './refuse.ts';
import { release } from './release.ts';
import { serve } from './serve.ts';
import { stage } from './stage.ts';
import { start } from './start.ts';
import { thaw } from './thaw.ts';

/** All that the agent does with the containers and images of the local Docker Engine. */
export function createContainerModule(options: {
  dockerSocket: string;
  dataDir: string;
  /** A command that takes a process out of the agent's cgroup. */
  launcher?: readonly string[];
  log: Logger;
}): ContainerModule {
  const { dockerSocket, dataDir, launcher = [], log } = options;
  const engine = new Engine(dockerSocket);
  const lazy = new LazyMounts(engine, launcher, identityFiles(dataDir));
  const loads = new ImageLoads(join(dataDir, 'image-loads.json'));
  return {
    handlers: {
      serve,
      freeze: async (context, input) => {
        const { mounts } = definitionOf(context);
        if (mounts.some(({ strategy }) => strategy === 'lazy')) await warmFilesThread();
        await warmWorkers(mounts.length);
        return freeze(engine, context, input);
      },
      thaw: (context) => thaw(engine, context),
      release: (context, input) => release(engine, context, input),
      stage: (context, input) => stage(engine, loads, context, input),
      arm: (context, input) => lazy.arm(context, input),
      start: (context, input) => lazy.guard(context, (guarded) => start(engine, guarded, input)),
      hydrate: (context) => lazy.hydrate(context),
      refuse: (context) => refuse(engine, context),
      abandon: (context, input) => abandon(engine, lazy, context, input),
      fence: (context, input) => fence(engine, lazy, context, input),
      finish: (context) => finish(engine, lazy, context),
    },
    letGo: (context) => letGo(engine, lazy, context),
    wake: (context) => lazy.wake(context),
    keepProtected: (context) => lazy.keepProtected(context),
    warm: async (context) => {
      const all = [(await lazy.warm(context)).loaded, warmWorkers(definitionOf(context).mounts.length)];
      return { loaded: Promise.all(all).then(() => {}) };
    },
    connectAhead: (context) => lazy.connectAhead(context),
    controlHydration: (context, control) => lazy.control(context, control),
    describe: (container, signal) => describe(engine, measureTree, container, signal),
    preflight: (request, signal) => preflight(engine, measureTree, request, signal),
    containers: (signal) => engine.summaries(signal),
    exportImage: (definition, haveLayers, signal) => exportImage(engine, definition.image, haveLayers, signal),
    async dockerFacts(signal) {
      try {
        const info = await engine.info(signal);
        return {
          dockerVersion: info.ServerVersion,
          dockerRoot: info.DockerRootDir,
          storageDriver: info.Driver,
          architecture: info.Architecture,
        };
      } catch (thrown) {
        if (thrown instanceof CargoError && thrown.code === 'DOCKER_UNREACHABLE') return null;
        log.warn({ err: thrown }, 'Docker does not say what it is');
        throw thrown;
      }
    },
  };
}
