import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { ContainerSummary } from '../../api/host.ts';
import { hasStatus } from './docker-error.ts';
import { EngineRequests } from './engine-request.ts';
import { loadFailure } from './load-reply.ts';
import {
  Changes,
  ContainerInspect,
  Created,
  EngineInfo,
  EngineVersion,
  ImageInspect,
  ListedContainer,
  ListedImage,
  NetworkInspect,
  VolumeInspect,
} from './replies.ts';

const HOUR_MS = 3_600_000;
/** What Docker itself waits between the stop signal and SIGKILL where the container says nothing. */
export const DEFAULT_STOP_SECONDS = 10;

/**
 * The local Docker Engine. Every method throws CargoErrors alone: DOCKER_UNREACHABLE, CONTAINER_NOT_FOUND, DISK_FULL,
 * DOCKER_ERROR. `find…` answers null where Docker knows no such thing.
 */
export class Engine {
  readonly #requests: EngineRequests;

  constructor(socketPath: string) {
    this.#requests = new EngineRequests(socketPath);
  }

  async info(signal: AbortSignal): Promise<EngineInfo> {
    const call = { method: 'GET', path: '/info', what: 'ask Docker about itself', limitMs: 10_000, signal } as const;
    return EngineInfo.parse(await this.#requests.json(call));
  }

  async apiVersion(signal: AbortSignal): Promise<string> {
    const call = { method: 'GET', path: '/version', what: 'ask for the version of Docker', signal } as const;
    return EngineVersion.parse(await this.#requests.json(call)).ApiVersion;
  }

  /** All containers as the REST API of Cargo shows them. */
  async summaries(signal: AbortSignal): Promise<ContainerSummary[]> {
    return z.array(ContainerSummary).parse(await this.#list(signal));
  }

  async containers(signal: AbortSignal): Promise<ListedContainer[]> {
    return z.array(ListedContainer).parse(await this.#list(signal));
  }

  /** The parsed reply, and the reply as it came, for those who must lose nothing of it. */
  async inspectWhole(
    reference: string,
    signal: AbortSignal,
  ): Promise<{ inspect: ContainerInspect; raw: Record<string, unknown> }> {
    const path = `/containers/${encodeURIComponent(reference)}/json`;
    const reply = await this.#requests.json({ method: 'GET', path, what: `inspect container ${reference}`, signal });
    return { inspect: ContainerInspect.parse(reply), raw: z.record(z.string(), z.unknown()).parse(reply) };
  }

  async inspect(reference: string, signal: AbortSignal): Promise<ContainerInspect> {
    return (await this.inspectWhole(reference, signal)).inspect;
  }

  findContainer(reference: string, signal: AbortSignal): Promise<ContainerInspect | null> {
    return orNull(this.inspect(reference, signal));
  }

  /** @returns the id of the new container */
  async createContainer(name: string, body: object, signal: AbortSignal): Promise<string> {
    const reply = await this.#requests.json({
      method: 'POST',
      path: '/containers/create',
      query: { name },
      body,
      what: `create container ${name}`,
      limitMs: HOUR_MS,
      signal,
    });
    return Created.parse(reply).Id;
  }

  async start(id: string, signal: AbortSignal): Promise<void> {
    await this.#container('POST', id, 'start', `start container ${id}`, { signal, alsoFine: [304], limitMs: 300_000 });
  }

  /** Stops with the container's own signal and patience; `limitMs` is how long Docker may take over it. */
  async stop(id: string, options: { limitMs: number; signal: AbortSignal }): Promise<void> {
    await this.#container('POST', id, 'stop', `stop container ${id}`, { ...options, alsoFine: [304] });
  }

  /** SIGKILL; fine where it does not run. */
  async kill(id: string, signal: AbortSignal): Promise<void> {
    await this.#container('POST', id, 'kill', `kill container ${id}`, { signal, alsoFine: [409] });
  }

  async rename(id: string, name: string, signal: AbortSignal): Promise<void> {
    await this.#container('POST', id, 'rename', `rename container ${id} to ${name}`, { signal, query: { name } });
  }

  async setRestartPolicy(id: string, policy: Record<string, unknown>, signal: AbortSignal): Promise<void> {
    const what = `set the restart policy of container ${id}`;
    await this.#container('POST', id, 'update', what, { signal, body: { RestartPolicy: policy } });
  }

  /** Removes a stopped container. With `anonymousVolumes` the volumes that Docker named by itself go with it. */
  async removeContainer(id: string, options: { anonymousVolumes: boolean }, signal: AbortSignal): Promise<void> {
    await this.#requests.json({
      method: 'DELETE',
      path: `/containers/${id}`,
      query: { v: String(options.anonymousVolumes) },
      what: `remove container ${id}`,
      limitMs: HOUR_MS,
      signal,
    });
  }

  /** Paths that the container has added, changed or deleted in its writable layer. */
  async changedPaths(id: string, signal: AbortSignal): Promise<string[]> {
    const reply = await this.#container('GET', id, 'changes', `list the changes of container ${id}`, { signal });
    return (Changes.parse(reply) ?? []).map((change) => change.Path);
  }

  /** The last lines of both outputs as Docker frames them, or nothing where the log driver can't be read. */
  async logTail(id: string, lines: number, signal: AbortSignal): Promise<Buffer> {
    const query = { stdout: 'true', stderr: 'true', tail: String(lines) };
    const path = `/containers/${id}/logs`;
    const stream = await this.#requests.stream({ method: 'GET', path, query, what: `read logs of ${id}`, signal });
    return Buffer.concat(await stream.toArray());
  }

  async findImage(reference: string, signal: AbortSignal): Promise<ImageInspect | null> {
    const path = `/images/${reference}/json`;
    const call = this.#requests.json({ method: 'GET', path, what: `inspect image ${reference}`, signal });
    const reply = await orNull(call);
    return reply === null ? null : ImageInspect.parse(reply);
  }

  /** Ids of all images, those without a tag too. */
  async imageIds(signal: AbortSignal): Promise<string[]> {
    const reply = await this.#requests.json({ method: 'GET', path: '/images/json', what: 'list images', signal });
    return [
      ...new Set(
        z
          .array(ListedImage)
          .parse(reply)
          .map((image) => image.Id),
      ),
    ];
  }

  /** `docker save`. */
  saveImage(reference: string, signal: AbortSignal): Promise<Readable> {
    return this.#requests.stream({
      method: 'GET',
      path: `/images/${reference}/get`,
      what: `save image ${reference}`,
      signal,
    });
  }

  /** `docker load`. @returns what Docker said about it */
  async loadImage(tar: Readable, signal: AbortSignal): Promise<string> {
    const what = 'load the image';
    const call = { method: 'POST', path: '/images/load', query: { quiet: 'true' }, upload: tar, what, signal } as const;
    const stream = await this.#requests.stream(call);
    const said = await text(stream);
    const failure = loadFailure(said);
    if (failure !== null) throw failure;
    return said;
  }

  async tagImage(id: string, reference: string, signal: AbortSignal): Promise<void> {
    const colon = reference.lastIndexOf(':');
    const tagged = colon > reference.lastIndexOf('/');
    const query = tagged
      ? { repo: reference.slice(0, colon), tag: reference.slice(colon + 1) }
      : { repo: reference, tag: 'latest' };
    const path = `/images/${id}/tag`;
    await this.#requests.json({ method: 'POST', path, query, what: `tag image ${id} as ${reference}`, signal });
  }

  /** Takes a tag, or an image without tags, away. @returns false where it is gone already or still in use */
  async removeImage(reference: string, signal: AbortSignal): Promise<boolean> {
    const path = `/images/${reference}`;
    return this.#removed({ method: 'DELETE', path, what: `remove image ${reference}`, signal, limitMs: HOUR_MS });
  }

  async findVolume(name: string, signal: AbortSignal): Promise<VolumeInspect | null> {
    const path = `/volumes/${encodeURIComponent(name)}`;
    const reply = await orNull(this.#requests.json({ method: 'GET', path, what: `inspect volume ${name}`, signal }));
    return reply === null ? null : VolumeInspect.parse(reply);
  }

  async createVolume(
    volume: { name: string; labels: Record<string, string>; driver?: string; driverOpts?: Record<string, string> },
    signal: AbortSignal,
  ): Promise<VolumeInspect> {
    const { name, labels, driver = 'local', driverOpts = {} } = volume;
    // Docker shows no options and an empty list of them differently.
    const options = Object.keys(driverOpts).length > 0 ? { DriverOpts: driverOpts } : {};
    const body = { Name: name, Driver: driver, Labels: labels, ...options };
    const call = { method: 'POST', path: '/volumes/create', body, what: `create volume ${name}`, signal } as const;
    return VolumeInspect.parse(await this.#requests.json(call));
  }

  /** @returns false where it is gone already or still in use */
  async removeVolume(name: string, signal: AbortSignal): Promise<boolean> {
    const path = `/volumes/${encodeURIComponent(name)}`;
    return this.#removed({ method: 'DELETE', path, what: `remove volume ${name}`, signal, limitMs: HOUR_MS });
  }

  /** Without the containers on them: see `findNetwork`. */
  async networks(signal: AbortSignal): Promise<NetworkInspect[]> {
    const reply = await this.#requests.json({ method: 'GET', path: '/networks', what: 'list networks', signal });
    return z.array(NetworkInspect).parse(reply);
  }

  async findNetwork(reference: string, signal: AbortSignal): Promise<NetworkInspect | null> {
    const path = `/networks/${encodeURIComponent(reference)}`;
    const reply = await orNull(
      this.#requests.json({ method: 'GET', path, what: `inspect network ${reference}`, signal }),
    );
    return reply === null ? null : NetworkInspect.parse(reply);
  }

  async createNetwork(body: { Name: string } & Record<string, unknown>, signal: AbortSignal): Promise<void> {
    const what = `create network ${body.Name}`;
    await this.#requests.json({ method: 'POST', path: '/networks/create', body, what, signal });
  }

  /** @returns false where it is gone already or other containers are on it */
  async removeNetwork(name: string, signal: AbortSignal): Promise<boolean> {
    const path = `/networks/${encodeURIComponent(name)}`;
    return this.#removed({ method: 'DELETE', path, what: `remove network ${name}`, signal });
  }

  #list(signal: AbortSignal): Promise<unknown> {
    const query = { all: 'true' };
    return this.#requests.json({ method: 'GET', path: '/containers/json', query, what: 'list containers', signal });
  }

  #container(
    method: 'GET' | 'POST',
    id: string,
    verb: string,
    what: string,
    options: Omit<Parameters<EngineRequests['json']>[0], 'method' | 'path' | 'what'>,
  ): Promise<unknown> {
    return this.#requests.json({ method, path: `/containers/${id}/${verb}`, what, ...options });
  }

  async #removed(call: Parameters<EngineRequests['json']>[0]): Promise<boolean> {
    try {
      await this.#requests.json(call);
      return true;
    } catch (thrown) {
      // Networks in use answer 403, everything else 409.
      if (hasStatus(thrown, 403, 404, 409)) return false;
      throw thrown;
    }
  }
}

async function orNull<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found;
  } catch (thrown) {
    if (hasStatus(thrown, 404)) return null;
    throw thrown;
  }
}
