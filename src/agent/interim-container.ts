import { CargoError } from '../api/cargo-error.ts';
import type { ContainerModule } from './container/module.ts';
import { Engine } from './docker/index.ts';

/** Facts and containers alone, until the container part is there. */
export function createContainerModule({ dockerSocket }: { dockerSocket: string }): ContainerModule {
  const engine = new Engine(dockerSocket);
  const missing = (): Promise<never> => Promise.reject(new CargoError('INTERNAL', 'not built yet'));
  return {
    handlers: {
      ...{ serve: missing, freeze: missing, thaw: missing, release: missing },
      ...{ stage: missing, start: missing, abandon: missing, finish: missing },
    },
    describe: missing,
    preflight: missing,
    exportImage: missing,
    containers: (signal) => engine.summaries(signal),
    dockerFacts: async (signal) => {
      const info = await engine.info(signal);
      return {
        dockerVersion: info.ServerVersion,
        dockerRoot: info.DockerRootDir,
        storageDriver: info.Driver,
        architecture: info.Architecture,
      };
    },
  };
}

export const sendRound = (): Promise<never> => Promise.reject(new CargoError('INTERNAL', 'not built yet'));
export const receiveRound = sendRound;
