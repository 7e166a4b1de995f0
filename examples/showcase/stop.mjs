// @ts-check
// How the showcase ends before its end.

/** A reason to stop whose message is all that the reader needs: printed without a stack trace. */
export class Stop extends Error {
  /**
   * @param {number} exitCode
   * @param {string} message
   * @param {ErrorOptions} [options]
   */
  constructor(exitCode, message, options) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
export const EXIT_UNAVAILABLE = 3;

const SIGNALS = /** @type {const} */ ({ SIGINT: 130, SIGTERM: 143 });

/**
 * Turns Ctrl-C and SIGTERM into an aborted signal, so that everything is put away on the way out. The second time
 * the process ends at once.
 *
 * @returns {AbortSignal}
 */
export function abortOnSignals() {
  const controller = new AbortController();
  for (const [name, exitCode] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(exitCode);
      controller.abort(new Stop(exitCode, 'stopped; nothing is left behind.'));
    });
  }
  return controller.signal;
}
