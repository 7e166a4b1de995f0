// Loaded into each test process. ava's TAP output keeps only the line of a stack that follows the first; this makes
// it the place in the TypeScript test: no frames of ava or Node before it, and no second line of a message.
import { findSourceMap } from 'node:module';

const FOREIGN = /node_modules\/ava\/|^node:/;

function place(frame) {
  const file = frame.getFileName();
  const [line, column] = [frame.getLineNumber(), frame.getColumnNumber()];
  const entry = file && findSourceMap(file)?.findEntry(line - 1, column - 1);
  if (!entry?.originalSource) return String(frame);
  const name = frame.getFunctionName();
  const source = `${entry.originalSource}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
  return name ? `${name} (${source})` : source;
}

Error.prepareStackTrace = (error, frames) => {
  const [head] = String(error).split('\n', 1);
  const own = frames.filter((frame) => !FOREIGN.test(frame.getFileName() ?? 'node:'));
  return [head, ...own.map((frame) => `    at ${place(frame)}`)].join('\n');
};
