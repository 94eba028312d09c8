import { existsSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lab, leftovers, must, shell } from './cargo-lab.ts';

const name = `hosts-${process.pid}`;
const inHost = (host: string, script: string) => shell(name, host, script);
const ping = (host: string, to: string) => lab(['exec', '--name', name, host, '--', 'ping', '-c1', '-W1', to]);

/** The body that an address answers with. */
function fetchText(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk;
      });
      response.on('end', () => resolve(body));
    }).on('error', reject);
  });
}

describe('two bare hosts', () => {
  beforeAll(async () => {
    await must(['up', '--bare', '--hosts', '2', '--disk', '3G', '--name', name]);
    await must(['image', 'busybox', '--host', 'h1', '--name', name]);
  });

  afterAll(async () => {
    await must(['down', '--name', name]);
    expect(leftovers(name)).toEqual([]);
  });

  test('the hosts reach each other by name', async () => {
    expect((await ping('h1', 'h2')).status).toBe(0);
    expect((await ping('h2', 'h1')).status).toBe(0);
  });

  test('a host that is cut off is out of reach until it is healed, and keeps running', async () => {
    await must(['cut', 'h2', '--name', name]);
    expect((await ping('h1', 'h2')).status).not.toBe(0);
    expect(await inHost('h2', 'docker ps --quiet | wc -l')).toBe('0');
    await must(['heal', 'h2', '--name', name]);
    expect((await ping('h1', 'h2')).status).toBe(0);
  });

  test('exec passes standard input, output and the exit status on', async () => {
    const ran = await lab(['exec', '--name', name, 'h1', '--', 'sh', '-c', 'cat; echo words >&2; exit 7'], 'given\n');
    expect(ran).toEqual({ status: 7, stdout: 'given\n', stderr: 'words\n' });
  });

  test('a command in a host sees neither the machine nor the environment of the caller', async () => {
    expect(
      await inHost('h1', 'hostname; cat /proc/1/comm; echo "VITEST=$VITEST"; ls /var/lib/cargo-lab 2>&1 || true'),
    ).toBe("h1\ntini\nVITEST=\nls: cannot access '/var/lib/cargo-lab': No such file or directory");
  });

  test('path shows the file system of the host, its volumes included, to read and write', async () => {
    const root = await must(['path', 'h1', '--name', name]);
    await inHost('h1', 'docker volume create seen');
    const data = join(root, 'var/lib/docker/volumes/seen/_data');
    expect(existsSync(data)).toBe(true);
    writeFileSync(join(data, 'note'), 'from the machine');
    expect(await inHost('h1', 'cat /var/lib/docker/volumes/seen/_data/note; docker volume rm --force seen')).toBe(
      'from the machineseen',
    );
  });

  test('a published port of a container answers on the address of its host', async () => {
    await inHost('h1', 'docker run -d --name web -p 8080:80 busybox:lab sh -c "echo hello >index.html; exec httpd -f"');
    const status = await must(['status', '--name', name]);
    const address = /^h1\s+(\S+)/m.exec(status)?.[1];
    expect(await fetchText(`http://${address}:8080/`)).toBe('hello\n');
    await inHost('h1', 'docker rm --force --volumes web');
  });

  test('a tag of the image is what was asked for', async () => {
    expect(await must(['image', 'busybox', '--tag', 'other', '--host', 'h2', '--name', name])).toBe('busybox:other');
    expect(await inHost('h2', 'docker run --rm busybox:other echo runs')).toBe('runs');
  });

  test('containers that restart by themselves are back after a power cut', async () => {
    await inHost('h1', 'docker run -d --restart always --name again busybox:lab sleep 1000; sync');
    await must(['kill', 'h1', '--name', name]);
    await must(['boot', 'h1', '--name', name]);
    expect(await inHost('h1', "docker inspect --format '{{.State.Running}}' again")).toBe('true');
    await inHost('h1', 'docker rm --force again');
  });

  test('a host that is down, or unknown, is told apart from a command that fails', async () => {
    await must(['kill', 'h2', '--name', name]);
    const down = await lab(['exec', '--name', name, 'h2', '--', 'true']);
    expect(down.status).not.toBe(0);
    expect(down.stderr).toContain(`cargo-lab boot h2 --name ${name}`);
    await must(['boot', 'h2', '--name', name]);
    expect((await lab(['exec', '--name', name, 'h9', '--', 'true'])).stderr).toContain('has no host h9');
  });

  test('the same name can not be taken twice', async () => {
    const again = await lab(['up', '--bare', '--name', name]);
    expect(again.status).not.toBe(0);
    expect(again.stderr).toContain('is there already');
    expect((await ping('h1', 'h2')).status).toBe(0);
  });

  test('a second lab beside it has addresses of its own, and its end leaves the first alone', async () => {
    const second = `${name}-b`;
    try {
      const started = await must(['up', '--bare', '--hosts', '1', '--disk', '3G', '--name', second]);
      const address = started.split(' ')[1] ?? '';
      expect(await must(['status', '--name', name])).not.toContain(`${address} `);
      expect((await lab(['exec', '--name', second, 'h1', '--', 'ping', '-c1', '-W1', 'h1'])).status).toBe(0);
      expect(await shell(second, 'h1', 'docker images --quiet')).toBe('');
    } finally {
      await must(['down', '--name', second]);
    }
    expect(leftovers(second)).toEqual([]);
    expect((await ping('h1', 'h2')).status).toBe(0);
  });
});

test('a lab that is not there is down already', async () => {
  expect(await lab(['down', '--name', 'never-was'])).toEqual({ status: 0, stdout: '', stderr: '' });
  expect((await lab(['path', 'h1', '--name', 'never-was'])).stderr).toContain('there is no lab never-was');
});

test('a name that could not name interfaces and folders is refused', async () => {
  for (const bad of ['', '../etc', 'Big', 'a'.repeat(31)]) {
    expect((await lab(['up', '--bare', '--name', bad])).stderr, bad).toContain('a lab name has 1 to 30');
  }
});
