import { X509Certificate } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { expect, test, vi } from 'vitest';
import { type DataDir, prepareDataDir } from '../../../../src/server/data-dir.ts';
import { type Authority, loadAuthority } from '../../../../src/server/pki/authority.ts';
import { loadServerCertificate, serverNames } from '../../../../src/server/pki/server-certificate.ts';
import { temporaryDir } from '../temporary-dir.ts';

async function issued(
  dir: DataDir,
  authority: Authority,
  address: string,
  ...more: string[]
): Promise<X509Certificate> {
  const { certificate } = await loadServerCertificate(dir, authority, serverNames(address, more));
  expect(certificate).toBe(await readFile(dir.serverCertificate, 'utf8'));
  return new X509Certificate(certificate);
}

test('the CA is made once, lasts ten years and may sign leaves alone', async () => {
  await using temporary = await temporaryDir();
  const dir = await prepareDataDir(temporary.path);
  const first = await loadAuthority(dir);
  const again = await loadAuthority(dir);
  expect(again.pem).toBe(first.pem);
  expect(first.sha256).toBe(first.certificate.fingerprint256.replaceAll(':', '').toLowerCase());
  expect(first.certificate.ca).toBe(true);
  const years = (first.certificate.validToDate.getTime() - Date.now()) / (365 * 86_400_000);
  expect(Math.round(years)).toBe(10);
});

test('the server is known by its addresses, names and its URI', async () => {
  await using temporary = await temporaryDir();
  const dir = await prepareDataDir(temporary.path);
  const certificate = await issued(dir, await loadAuthority(dir), '10.1.2.3', 'cargo.example', '10.9.9.9', 'fd00::1');
  for (const name of ['cargo.example', 'localhost']) expect(certificate.checkHost(name)).toBe(name);
  for (const address of ['10.1.2.3', '10.9.9.9', '127.0.0.1', 'fd00::1']) {
    expect(certificate.checkIP(address)).toBeDefined();
  }
  expect(certificate.subjectAltName).toContain('URI:cargo://server');
  expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
});

test('it is kept while its names stay the same, and issued anew when they change', async () => {
  await using temporary = await temporaryDir();
  const dir = await prepareDataDir(temporary.path);
  const authority = await loadAuthority(dir);
  const first = await issued(dir, authority, '10.1.2.3');
  expect((await issued(dir, authority, '10.1.2.3')).serialNumber).toBe(first.serialNumber);
  const moved = await issued(dir, authority, '10.1.2.4');
  expect(moved.checkIP('10.1.2.4')).toBeDefined();
  expect(moved.checkIP('10.1.2.3')).toBeUndefined();
  expect((await issued(dir, authority, '10.1.2.4', 'b.example')).checkHost('b.example')).toBe('b.example');
});

test('it is issued anew when it ends soon, or when another CA signed it', async () => {
  await using temporary = await temporaryDir();
  const dir = await prepareDataDir(temporary.path);
  const authority = await loadAuthority(dir);
  const first = await issued(dir, authority, '10.1.2.3');
  const later = (days: number) => vi.setSystemTime(first.validFromDate.getTime() + days * 86_400_000);
  later(240);
  expect((await issued(dir, authority, '10.1.2.3')).serialNumber).toBe(first.serialNumber);
  later(250);
  const renewed = await issued(dir, authority, '10.1.2.3');
  expect(renewed.validToDate.getTime() - Date.now()).toBeGreaterThan(364 * 86_400_000);
  vi.useRealTimers();
  await rm(dir.ca);
  await rm(dir.caKey);
  const other = await loadAuthority(dir);
  const signed = await issued(dir, other, '10.1.2.3');
  expect(signed.verify(other.certificate.publicKey)).toBe(true);
});
