import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { validatorCompiler } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import type { App } from './app.ts';
import { parseBody } from './bodies.ts';

type Last = { digest: string; body: object };

/**
 * For a route whose callers say the same over and over again: a body that is, byte for byte, the last one that was accepted on
 * its connection is that object again, neither parsed nor checked anew. A heartbeat with fifty containers takes 3 ms
 * otherwise, and two hundred agents send a hundred of them a second.
 */
export class RepeatedBodies {
  readonly #last = new WeakMap<FastifyRequest['raw']['socket'], Last>();
  readonly #accepted = new WeakSet<object>();
  readonly #digests = new WeakMap<FastifyRequest['raw'], string>();

  /** Takes the reading and the checking of bodies over in this scope. */
  readIn(scope: App, bodyLimit: number): void {
    const parse = parseBody(scope);
    scope.removeContentTypeParser('application/json');
    scope.addContentTypeParser('application/json', { parseAs: 'buffer', bodyLimit }, (request, bytes, done) => {
      const digest = createHash('sha256').update(bytes).digest('base64');
      const last = this.#last.get(request.raw.socket);
      if (last?.digest === digest) return done(null, last.body);
      this.#digests.set(request.raw, digest);
      return parse(request, bytes.toString(), done);
    });
    scope.setValidatorCompiler<z.ZodType>((route) => {
      const check = validatorCompiler(route);
      return (body) => (this.#accepted.has(body) ? { value: body } : check(body));
    });
  }

  /** The body was checked, and will be the same object when it comes again. */
  accept({ raw, body }: FastifyRequest): void {
    const digest = this.#digests.get(raw);
    if (digest === undefined || typeof body !== 'object' || body === null) return;
    this.#accepted.add(body);
    this.#last.set(raw.socket, { digest, body });
  }
}
