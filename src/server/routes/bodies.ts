import type { FastifyRequest } from 'fastify';
import type { ContentTypeParserDoneFunction } from 'fastify/types/content-type-parser.js';
import { CargoError } from '../../api/cargo-error.ts';
import type { App } from './app.ts';

const BODY_BYTES = 1024 * 1024;

type Parse = (request: FastifyRequest, text: string, done: ContentTypeParserDoneFunction) => void;

/** No body at all is fine where a call needs none, whatever its Content-Type says. */
export function parseBody(app: App): Parse {
  const parse = app.getDefaultJsonParser('error', 'error');
  return (request, text, done) => {
    if (text === '') return done(null, undefined);
    parse(request, text, (error, value) => {
      if (error === null) done(null, value);
      else done(new CargoError('BAD_REQUEST', 'the body is not valid JSON', { cause: error }));
    });
  };
}

/** JSON alone. */
export function addBodyRules(app: App): void {
  const parse = parseBody(app);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string', bodyLimit: BODY_BYTES }, (request, body, done) =>
    parse(request, body.toString(), done),
  );
}
