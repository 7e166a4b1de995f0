// What users see of the package, read from its declaration files: names that documents may speak of.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './_process.ts';

/** What documents call the objects that no export is named after. */
const INSTANCES: Readonly<Record<string, string>> = {
  ring: 'Ring',
  registrar: 'Registrar',
  completion: 'Completion',
  operation: 'Operation',
  buffers: 'BufferRing',
  lease: 'BufferLease',
  files: 'FileTable',
  file: 'FixedFile',
  stream: 'MultishotStream',
  kernel: 'MockKernel',
};

const OPENING = '({[';
const CLOSING = ')}]';

/** Pieces of a text that end with a semicolon outside of all brackets; comments stay with what follows them. */
function pieces(text: string): string[] {
  const found: string[] = [];
  let [depth, start] = [0, 0];
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] as string;
    if (text.startsWith('/*', at)) at = text.indexOf('*/', at) + 1;
    else if (OPENING.includes(char)) depth += 1;
    else if (CLOSING.includes(char)) depth -= 1;
    else if (char === ';' && depth === 0) {
      found.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return found;
}

/** The text between the first brace and the one that closes it. */
function inBraces(text: string): string | undefined {
  const from = text.indexOf('{');
  if (from < 0) return undefined;
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    if (text.startsWith('/*', at)) at = text.indexOf('*/', at) + 1;
    else if (text[at] === '{') depth += 1;
    else if (text[at] === '}') depth -= 1;
    if (depth === 0) return text.slice(from + 1, at);
  }
  return undefined;
}

const withoutComments = (text: string): string => text.replaceAll(/\/\*[\s\S]*?\*\//g, '').trim();
const MEMBER = /^(?:(?:readonly|static|get|set)\s+)*([\w$]+)\??\s*[(:<]/;

/** Public members of a class, an interface or an object type, with the text of all their declarations. */
function membersOf(body: string): Map<string, string> {
  const members = new Map<string, string>();
  const internal = new Set<string>();
  for (const piece of pieces(body)) {
    const text = withoutComments(piece);
    const name = text.match(MEMBER)?.[1];
    if (name === undefined) continue;
    if (piece.includes('@internal')) internal.add(name);
    members.set(name, `${members.get(name) ?? ''}${text};`);
  }
  for (const name of internal) members.delete(name);
  return members;
}

const DECLARATION = /^export (?:declare )?(?:abstract )?(class|interface|function|const|type) (\w+)/gm;

/** Declarations of one file, by name; those of an overloaded function follow one another. */
function declarationsIn(source: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const match of source.matchAll(DECLARATION)) {
    const [, kind, name] = match as unknown as [string, string, string];
    const rest = source.slice(match.index);
    const body = kind === 'class' || kind === 'interface' ? inBraces(rest) : undefined;
    const text =
      body === undefined ? (pieces(rest)[0] ?? rest) : rest.slice(0, rest.indexOf(body) + body.length + 1);
    found.set(name, `${found.get(name) ?? ''}${text};\n`);
  }
  return found;
}

/** The declarations of the package as it was built. */
export class Declarations {
  /** Names that the entries of the package export, types too. */
  readonly exported = new Set<string>();
  readonly #texts = new Map<string, string>();

  constructor(dist: string = join(ROOT, 'dist')) {
    const entries = ['index.d.ts', 'mock/index.d.ts'].map((name) => readFileSync(join(dist, name), 'utf8'));
    for (const [, names = ''] of withoutComments(entries.join('')).matchAll(
      /export (?:type )?\{([^}]*)\}/g,
    )) {
      for (const name of names.split(',')) this.exported.add(name.replace(/^\s*type\s+/, '').trim());
    }
    this.exported.delete('');
    for (const path of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
      if (!path.endsWith('.d.ts')) continue;
      const source = readFileSync(join(dist, path), 'utf8');
      for (const [name, text] of declarationsIn(source)) this.#texts.set(name, text);
    }
  }

  /** Exported functions that make an operation; `raw` is none of them, as it makes every one. */
  get operationFunctions(): string[] {
    const makes = (name: string) =>
      /^export declare function \w+[\s\S]*?\): Operation</.test(this.#texts.get(name) ?? '');
    return [...this.exported].filter((name) => name !== 'raw' && makes(name)).sort();
  }

  /** Members of exported options, and methods of exported classes, that have no doc comment. */
  get undocumented(): string[] {
    return [...this.exported].flatMap((name) => {
      const text = this.#texts.get(name) ?? '';
      if (!/^export (?:declare )?(?:class|interface)/.test(text)) return [];
      const documented = new Set<string>();
      for (const piece of pieces(`${inBraces(text)};`)) {
        const member = withoutComments(piece).match(MEMBER)?.[1] ?? '';
        if (/\/\*\*/.test(piece)) documented.add(member);
      }
      const members = [...membersOf(`${inBraces(text)};`)]
        .filter(
          ([member, own]) =>
            member !== 'constructor' && (name.endsWith('Options') || own.startsWith(`${member}(`)),
        )
        .map(([member]) => member);
      return members.filter((member) => !documented.has(member)).map((member) => `${name}.${member}`);
    });
  }

  /**
   * Why a document may not speak of something, or undefined if it may: `read`, `ring.registrar.files`,
   * `RingOptions.sqpoll.idleMs`, `timeout({ count })`.
   */
  problemWith(span: string): string | undefined {
    const [, path = '', args] = span.match(/^([\w.]+)(?:\((.*)\))?$/) ?? [];
    if (path === '') return `\`${span}\` is no name, such as \`ring.submit\` or \`timeout({ count })\``;
    const [first = '', ...rest] = path.split('.');
    const name = this.exported.has(first) ? first : (INSTANCES[first] ?? first);
    if (!this.exported.has(name)) return `\`${span}\`: the package exports no ${first}`;
    let text = this.#texts.get(name) ?? '';
    for (const member of rest) {
      const next = this.#members(text).get(member);
      if (next === undefined) return `\`${span}\`: there is no public ${member}`;
      text = next;
    }
    for (const option of args?.match(/\{(.*)\}/)?.[1]?.split(',') ?? []) {
      if (!this.#takes(text, option.trim())) return `\`${span}\`: it takes no option ${option.trim()}`;
    }
    return undefined;
  }

  /** Members of a declaration, of what it extends, or of the type that a member has. */
  #members(text: string): Map<string, string> {
    const own = inBraces(withoutComments(text)) === undefined ? undefined : inBraces(text);
    const members = new Map<string, string>();
    const isNamed = /^export (?:declare )?(?:class|interface)/.test(text);
    const named = isNamed ? (text.slice(0, text.indexOf('{')).match(/extends (.*)/)?.[1] ?? '') : text;
    for (const [name] of named.matchAll(/\b[A-Z]\w+/g)) {
      const other = this.#texts.get(name);
      if (other !== undefined && other !== text)
        for (const entry of this.#members(other)) members.set(...entry);
    }
    if (own !== undefined) for (const entry of membersOf(`${own};`)) members.set(...entry);
    return members;
  }

  /** Whether a function takes an option: in a type that stands in its own text, or in one that it names. */
  #takes(text: string, option: string, seen: Set<string> = new Set()): boolean {
    if (new RegExp(`\\b${option}\\??:`).test(withoutComments(text))) return true;
    for (const [name] of withoutComments(text).matchAll(/\b[A-Z]\w*(?:Options|Target)\b/g)) {
      const other = this.#texts.get(name);
      if (other === undefined || seen.has(name)) continue;
      seen.add(name);
      if (this.#takes(other, option, seen)) return true;
    }
    return false;
  }
}
