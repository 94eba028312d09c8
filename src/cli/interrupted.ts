/** Ctrl-C or SIGTERM ended a command; the message says what goes on without it. */
export class Interrupted extends Error {
  constructor(message = 'interrupted') {
    super(message);
    this.name = 'Interrupted';
  }
}
