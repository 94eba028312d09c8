import { CargoError } from '../../api/cargo-error.ts';
import type { App } from './app.ts';

const BODY_BYTES = 1024 * 1024;

/** JSON alone; no body at all is fine where a call needs none, whatever its Content-Type says. */
export function addBodyRules(app: App): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string', bodyLimit: BODY_BYTES }, (request, body, done) => {
    if (body === '') return done(null, undefined);
    parse(request, body.toString(), (error, value) => {
      if (error === null) done(null, value);
      else done(new CargoError('BAD_REQUEST', 'the body is not valid JSON', { cause: error }));
    });
  });
}
