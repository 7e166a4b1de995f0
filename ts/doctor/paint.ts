// Colours and lines for a terminal.

/** Where a page is shown. */
export interface Screen {
  readonly columns: number;
  readonly colours: boolean;
}

const COLUMNS_DEFAULT = 80;
const COLUMNS_MIN = 40;
/** Longer lines are hard to read. */
const COLUMNS_MAX = 100;
const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;

export type Colour = keyof typeof CODES;

/** What is known of an output: no colours into a file, with NO_COLOR (no-color.org), or where `TERM` is dumb. */
export function screenOf(
  output: { isTTY?: boolean; columns?: number },
  env: Readonly<Record<string, string | undefined>>,
): Screen {
  const columns = Math.min(Math.max(output.columns ?? COLUMNS_DEFAULT, COLUMNS_MIN), COLUMNS_MAX);
  const isForbidden = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return { columns, colours: output.isTTY === true && !isForbidden };
}

export function paint({ colours }: Screen, colour: Colour, text: string): string {
  return colours ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
}

/** What stays together: words, and commands between backticks, which are there to be copied. */
const UNIT = /(?:[^\s`]*`[^`]*`[^\s`]*)+|\S+/g;

/** Words and commands in lines of so many columns; a word that is longer stands alone, a command that is longer is cut. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  const units = text.match(UNIT) ?? [];
  for (const word of units.flatMap((unit) => (unit.length > columns ? unit.split(' ') : unit))) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
