import { registerHooks } from 'node:module';

/** A change of one module's source, for a control run: a protection switched off. */
export type Patch = { module: string; from: string; to: string };

/** The environment that makes Node.js programs load their modules with these changes, in their threads too. */
export function patched(...patches: Patch[]): Record<string, string> {
  return { NODE_OPTIONS: `--import=${import.meta.filename}`, CARGO_TEST_PATCHES: JSON.stringify(patches) };
}

const patches: Patch[] = JSON.parse(process.env['CARGO_TEST_PATCHES'] ?? '[]');
if (patches.length > 0) {
  registerHooks({
    load: (url, context, nextLoad) => {
      const loaded = nextLoad(url, context);
      const here = patches.filter(({ module }) => url.endsWith(`/lazy/${module}`));
      if (here.length === 0) return loaded;
      let source = String(loaded.source);
      for (const { from, to } of here) {
        if (!source.includes(from)) throw new Error(`${url} does not hold ${from}`);
        source = source.replaceAll(from, to);
      }
      return { ...loaded, source };
    },
  });
}
