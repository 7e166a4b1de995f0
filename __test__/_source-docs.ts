// The doc comments of the sources, by the name of what they stand above.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './_process.ts';

const DOCUMENTED =
  /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(?:\/\/.*\s*)*export (?:declare )?(?:abstract |async )?(?:class|interface|function|const|type) (\w+)/g;

/** Doc comments of everything that a source exports; of overloads all of them. */
export function sourceDocs(): Map<string, string> {
  const docs = new Map<string, string>();
  for (const path of readdirSync(join(ROOT, 'ts'), { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.ts')) continue;
    const source = readFileSync(join(ROOT, 'ts', path), 'utf8');
    for (const [, text = '', name = ''] of source.matchAll(DOCUMENTED))
      docs.set(name, `${docs.get(name) ?? ''}${text.replaceAll(/\n\s*\*/g, ' ').replaceAll(/\s+/g, ' ')}`);
  }
  return docs;
}
