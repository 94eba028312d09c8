import { beforeAll, expect, test } from 'vitest';
import { LabUnderTest } from '../lab.ts';

const MIB = 2 ** 20;
const LARGE_MIB = 170;
const SMALL_FILES = 30;
const TOTAL = (LARGE_MIB + SMALL_FILES) * MIB;

let lab: LabUnderTest;

beforeAll(async () => {
  lab = await LabUnderTest.open();
  await lab.image('busybox', 'h1', 'h2');
});

/** Bytes that the target's network card has received, since it was put in. */
async function received(): Promise<number> {
  return Number(await lab.must('h2', 'cat', '/sys/class/net/eth0/statistics/rx_bytes'));
}

const sums = (host: string): Promise<string> =>
  lab.must(host, 'docker', 'exec', 'heavy', 'sh', '-c', 'cd /data && find . -type f | sort | xargs md5sum');

test('a transfer that is broken off again and again, by kills of either agent and a cut, goes on where it was', async () => {
  const fill = `head -c ${LARGE_MIB * MIB} /dev/urandom >large; for i in $(seq ${SMALL_FILES}); do head -c ${MIB} /dev/urandom >$i; done`;
  const command = `cd /data; [ -e done ] || { ${fill}; touch done; }; exec sleep 100000`;
  const options = ['-v', 'heavy-data:/data', '--stop-signal', 'KILL', '--name', 'heavy'];
  try {
    await lab.must('h1', 'docker', 'run', '-d', ...options, 'busybox:lab', 'sh', '-c', command);
    await expect
      .poll(async () => (await lab.exec('h1', 'docker', 'exec', 'heavy', 'test', '-e', '/data/done')).status)
      .toBe(0);
    const expected = await sums('h1');
    const before = await received();
    const untilArrived = (share: number): Promise<void> =>
      expect.poll(async () => (await received()) - before, { interval: 50 }).toBeGreaterThan(share * TOTAL);

    const begun = await lab.cargoctl(
      'migrate',
      'heavy',
      '--to',
      'h2',
      '--bwlimit',
      '20M',
      '--strategy',
      'precopy',
      '--detach',
    );
    expect(begun, begun.stderr).toMatchObject({ status: 0 });
    await untilArrived(0.25);
    await lab.lab('kill-agent', 'h1');
    await lab.lab('restart-agent', 'h1');
    await untilArrived(0.5);
    await lab.lab('kill-agent', 'h2');
    await lab.lab('restart-agent', 'h2');
    await untilArrived(0.75);
    await lab.lab('cut', 'h2');
    await expect.poll(async () => (await lab.status('heavy')).activity, { interval: 500 }).toMatch(/^waiting/);
    await lab.lab('heal', 'h2');

    await expect
      .poll(async () => (await lab.status('heavy')).phase, { timeout: 120_000, interval: 200 })
      .toBe('copied');
    const travelled = (await received()) - before;
    console.log(`${(TOTAL / MIB).toFixed(0)} MiB broken off three times: ${(travelled / MIB).toFixed(0)} MiB came in`);
    expect(travelled).toBeGreaterThan(TOTAL);
    expect(travelled).toBeLessThan(1.1 * TOTAL);
    expect(await sums('h2')).toBe(expected);
  } finally {
    for (const host of ['h1', 'h2']) {
      await lab.lab('heal', host);
      await lab.exec(
        host,
        'sh',
        '-c',
        'docker ps -aq | xargs -r docker rm -f; docker volume ls -q | xargs -r docker volume rm',
      );
    }
  }
});
