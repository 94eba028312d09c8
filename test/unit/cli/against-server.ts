import { afterEach, beforeEach } from 'vitest';
import { cargoctlHome, type Outcome, type Run, type RunOptions, runHere } from './cargoctl.ts';
import { type Identity, type Routes, type ScriptedServer, scriptedServer } from './scripted-server.ts';

export const MIB = 1024 * 1024;
export const json = (text: string): unknown => JSON.parse(text);

export type AgainstServer = {
  readonly home: { path: string; run: Run };
  /** The server of this test that was started last. */
  readonly server: ScriptedServer;
  /** Starts the server of this test, in place of an earlier one. */
  serve: (routes: Routes, identity?: Identity, port?: number) => Promise<ScriptedServer>;
  /** cargoctl with a token, against a server that answers like this. */
  against: (routes: Routes, args: string[], options?: RunOptions) => Promise<Outcome>;
  /** The same without a process of its own. */
  here: (routes: Routes, args: string[]) => Promise<Outcome>;
};

/** Gives each test of the file a home of its own and a scripted server; both go with the test. */
export function againstServer(): AgainstServer {
  let home: Awaited<ReturnType<typeof cargoctlHome>> | undefined;
  let server: ScriptedServer | undefined;
  beforeEach(async () => {
    home = await cargoctlHome();
  });
  afterEach(async () => {
    await server?.[Symbol.asyncDispose]();
    await home?.[Symbol.asyncDispose]();
    server = home = undefined;
  });
  const kit: AgainstServer = {
    get home() {
      if (home === undefined) throw new Error('a home is there in tests only');
      return home;
    },
    get server() {
      if (server === undefined) throw new Error('no server was started in this test');
      return server;
    },
    async serve(routes, identity, port) {
      await server?.[Symbol.asyncDispose]();
      server = await scriptedServer(routes, identity, port);
      return server;
    },
    async against(routes, args, options = {}) {
      const { url } = await kit.serve(routes);
      return kit.home.run(args, { ...options, env: { CARGO_SERVER: url, CARGO_TOKEN: 'the-token', ...options.env } });
    },
    async here(routes, args) {
      const { url } = await kit.serve(routes);
      return runHere(args, { HOME: kit.home.path, CARGO_SERVER: url, CARGO_TOKEN: 'the-token' });
    },
  };
  return kit;
}

/** Answers with the values one after the other, with the last one for ever. */
export function inTurn(...values: unknown[]): () => unknown {
  let asked = 0;
  return () => values[Math.min(asked++, values.length - 1)];
}
