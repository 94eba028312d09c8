import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ImageLoads } from '../../../src/agent/image/index.ts';
import type { ContainerDefinition } from '../../../src/api/container-definition.ts';
import { DATA_DIR } from './harness-messages.ts';
import { begin, buildImage, HostPair, IMAGE, stage, WAITING } from './pair.ts';

let pair: HostPair;
const APP = 'cargo-docker-test/app:1';

beforeAll(() => {
  pair = new HostPair();
  buildImage(pair.source, APP, [`FROM ${IMAGE}`, 'RUN head -c 3000000 /dev/urandom > /big', 'ENV A=b', 'RUN true']);
});
afterAll(() => pair[Symbol.dispose]());
afterEach(() => {
  pair.source.exec('sh', '-c', 'docker ps -aq | xargs -r docker rm -fv');
  pair.target.exec('sh', '-c', 'docker ps -aq | xargs -r docker rm -fv; docker image prune -af');
  pair.target.imageRequests.length = 0;
});

async function staged(image: string): Promise<{ definition: ContainerDefinition; fetched: number; bytes: number }> {
  pair.source.docker('run', '-d', '--name', 'it', image, ...WAITING);
  const move = await begin(pair.source, pair.target, 'it');
  const { layersFetched, imageBytes } = await stage(move);
  return { definition: move.definition, fetched: layersFetched, bytes: imageBytes };
}

test('an image that the target lacks comes whole, with its tag, and runs', async () => {
  const { definition, fetched, bytes } = await staged(APP);
  expect(fetched).toBe(definition.image.layers.length);
  expect(bytes).toBeGreaterThan(5_000_000);
  expect(pair.target.inspect('it')).toMatchObject({ Image: definition.image.id, Config: { Image: APP } });
  expect(pair.target.docker('run', '--rm', APP, 'sh', '-c', 'wc -c < /big')).toBe('3000000');
});

test('layers that the target has in another image do not travel', async () => {
  pair.copyImage(IMAGE);
  const base = JSON.parse(pair.target.docker('inspect', '-f', '{{json .RootFS.Layers}}', IMAGE));
  const { definition, fetched, bytes } = await staged(APP);
  expect(pair.target.imageRequests).toEqual([base]);
  expect(fetched).toBe(definition.image.layers.length - base.length);
  expect(bytes).toBeLessThan(3_200_000);
  expect(pair.target.docker('run', '--rm', APP, 'sh', '-c', 'wc -c < /big; cat /seeded/file')).toBe('3000000\nseed');
});

test('an image that the target has does not travel at all', async () => {
  pair.copyImage(APP);
  expect(await staged(APP)).toMatchObject({ fetched: 0, bytes: 0 });
  expect(pair.target.imageRequests).toEqual([]);
});

test('a tag that is another image at the target stays there, and the container gets the right one', async () => {
  pair.target.exec('sh', '-c', `tar -c -T /dev/null | docker import - ${APP}`);
  const other = pair.target.docker('inspect', '-f', '{{.Id}}', APP);
  const { definition } = await staged(APP);
  expect(pair.target.docker('inspect', '-f', '{{.Id}}', APP)).toBe(other);
  expect(pair.target.inspect('it')).toMatchObject({
    Image: definition.image.id,
    Config: { Image: definition.image.id },
  });
});

test('a container whose tag was given to a newer image keeps its own', async () => {
  const { source } = pair;
  source.docker('tag', APP, 'cargo-docker-test/old:1');
  source.docker('run', '-d', '--name', 'it', 'cargo-docker-test/old:1', ...WAITING);
  source.docker('tag', IMAGE, 'cargo-docker-test/old:1');
  const move = await begin(source, pair.target, 'it');
  expect(move.definition.image.referenceIsCurrent).toBe(false);
  await stage(move);
  expect(pair.target.inspect('it')).toMatchObject({ Image: move.definition.image.id });
  expect(pair.target.docker('images', '-q', 'cargo-docker-test/old:1')).toBe('');
});

/** Takes the content out of a file of the image's top layer, as a power cut does with what was not written out yet. */
function damage(image: string, file: string): void {
  const { target } = pair;
  const layer = target.docker('inspect', '-f', '{{.GraphDriver.Data.UpperDir}}', image);
  target.exec('truncate', '-s', '0', `${layer}/${file}`);
}

async function sizeAfterCrash(hasRecord: boolean): Promise<string> {
  const { source, target } = pair;
  const doubtful = 'cargo-docker-test/doubtful:1';
  buildImage(source, doubtful, [`FROM ${APP}`, 'RUN head -c 70000 /dev/urandom > /doubted']);
  pair.copyImage(doubtful);
  damage(doubtful, 'doubted');
  const layers = JSON.parse(target.docker('inspect', '-f', '{{json .RootFS.Layers}}', doubtful));
  const loads = new ImageLoads(target.root + join(DATA_DIR, 'image-loads.json'));
  await loads.begin('cut-off-by-a-crash', hasRecord ? layers : []);
  await staged(doubtful);
  const size = target.docker('run', '--rm', doubtful, 'sh', '-c', 'wc -c < /doubted');
  expect(await new ImageLoads(target.root + join(DATA_DIR, 'image-loads.json')).doubtful()).toEqual(new Set());
  return size;
}

test('layers whose loading a crash cut off are made anew', async () => {
  expect(await sizeAfterCrash(true)).toBe('70000');
});

test('control: without the record of the load the container sees files without their content', async () => {
  expect(await sizeAfterCrash(false)).toBe('0');
});

test('layers in doubt that another image holds are refused, with what to do', async () => {
  const { target } = pair;
  pair.copyImage(APP);
  const layers: string[] = JSON.parse(target.docker('inspect', '-f', '{{json .RootFS.Layers}}', APP));
  target.docker('create', '--name', 'holder', APP);
  const path = target.root + join(DATA_DIR, 'image-loads.json');
  await new ImageLoads(path).begin('cut-off-by-a-crash', layers.slice(-1));
  await expect(staged(APP)).rejects.toMatchObject({
    code: 'DOCKER_ERROR',
    message: expect.stringContaining('docker rmi'),
  });
  target.exec('rm', join(DATA_DIR, 'image-loads.json'));
});

test('an image that is not what the source says is not used', async () => {
  const { source, target } = pair;
  source.docker('run', '-d', '--name', 'it', APP, ...WAITING);
  const move = await begin(source, target, 'it');
  const layers = move.definition.image.layers.with(-1, `sha256:${'0'.repeat(64)}`);
  const definition = { ...move.definition, image: { ...move.definition.image, layers } };
  await expect(stage({ ...move, definition })).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
  expect(target.docker('ps', '-aq')).toBe('');
});
