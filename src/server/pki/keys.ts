import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readOrMake } from '../../files/durable-file.ts';

/** The P-256 private key in a PEM file, made the first time. */
export async function loadKey(path: string): Promise<KeyObject> {
  return createPrivateKey(await readOrMake(path, makeKey));
}

function makeKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}
