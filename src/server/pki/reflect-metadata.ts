/**
 * The three functions of the `reflect-metadata` proposal that tsyringe (a dependency of @peculiar/x509) calls when it is
 * loaded; it refuses to load without them. To be imported before @peculiar/x509.
 */
const store = new WeakMap<object, Map<unknown, unknown>>();

function getOwnMetadata(key: unknown, target: object): unknown {
  return store.get(target)?.get(key);
}

function defineMetadata(key: unknown, value: unknown, target: object): void {
  const known = store.get(target) ?? new Map<unknown, unknown>();
  known.set(key, value);
  store.set(target, known);
}

if (!('getMetadata' in Reflect)) {
  Object.assign(Reflect, { getMetadata: getOwnMetadata, getOwnMetadata, defineMetadata });
}
