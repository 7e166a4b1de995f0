// @ts-check
// One line that rewrites itself on a terminal; elsewhere a line when a step ends, and now and then before.

const REDRAW_MS = 100;
const SPARSE_MS = 5000;
const BAR_WIDTH = 24;

const out = process.stderr;

/**
 * @param {string} label
 * @param {number} total how many steps there are
 */
export function startProgress(label, total) {
  const startedAt = performance.now();
  let drawnAt = out.isTTY ? 0 : startedAt;

  /** @param {number} done */
  function draw(done) {
    const share = total === 0 ? 1 : done / total;
    const percent = `${Math.floor(share * 100)} %`.padStart(5);
    if (!out.isTTY) {
      out.write(`${label}:${percent}\n`);
      return;
    }
    const filled = Math.round(share * BAR_WIDTH);
    out.write(`\r\x1b[K${'='.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}${percent}  ${label}`);
  }

  return {
    /** @param {number} done */
    update(done) {
      const now = performance.now();
      if (done === total || now - drawnAt < (out.isTTY ? REDRAW_MS : SPARSE_MS)) return;
      drawnAt = now;
      draw(done);
    },
    /** Leaves a line that says how long it took. */
    end() {
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      out.write(`${out.isTTY ? '\r\x1b[K' : ''}${label} (${seconds} s)\n`);
    },
    /** Takes the half-drawn line away. */
    clear() {
      if (out.isTTY) out.write('\r\x1b[K');
    },
  };
}

/**
 * Runs a step with its progress shown.
 *
 * @template T
 * @param {string} label
 * @param {number} total
 * @param {(update: (done: number) => void) => Promise<T>} step
 * @returns {Promise<T>}
 */
export async function withProgress(label, total, step) {
  const progress = startProgress(label, total);
  try {
    const result = await step(progress.update);
    progress.end();
    return result;
  } catch (error) {
    progress.clear();
    throw error;
  }
}
