// What a native binary asks of the machine that loads it, read from the ELF file itself: nothing need be installed.
// Layouts: elf(5). All our targets are 64 bits wide and little-endian.
import { readFileSync } from 'node:fs';

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NULL = 0n;
const DT = {
  needed: 1n,
  strtab: 5n,
  rpath: 15n,
  runpath: 29n,
  verneed: 0x6ffffffen,
  verneednum: 0x6fffffffn,
};

class Elf {
  constructor(path) {
    this.bytes = readFileSync(path);
    const isOurs = this.bytes.length >= 64 && this.bytes.toString('latin1', 0, 6) === '\x7fELF\x02\x01';
    if (!isOurs) throw new Error(`${path} is no 64-bit little-endian ELF file`);
    this.machine = this.bytes.readUInt16LE(18);
    const first = Number(this.bytes.readBigUInt64LE(32));
    const size = this.bytes.readUInt16LE(54);
    this.segments = Array.from({ length: this.bytes.readUInt16LE(56) }, (_, index) => {
      const at = first + index * size;
      const field = (offset) => Number(this.bytes.readBigUInt64LE(at + offset));
      const type = this.bytes.readUInt32LE(at);
      return { type, offset: field(8), address: field(16), fileBytes: field(32), align: field(48) };
    });
    this.dynamic = this.#dynamic();
    this.strings = this.#offsetOf(this.#value(DT.strtab));
  }

  #dynamic() {
    const segment = this.segments.find(({ type }) => type === PT_DYNAMIC);
    if (segment === undefined) throw new Error('it is not linked dynamically');
    const entries = [];
    for (let at = segment.offset; at < segment.offset + segment.fileBytes; at += 16) {
      const tag = this.bytes.readBigUInt64LE(at);
      if (tag === DT_NULL) break;
      entries.push([tag, Number(this.bytes.readBigUInt64LE(at + 8))]);
    }
    return entries;
  }

  #value(wanted) {
    return this.dynamic.find(([tag]) => tag === wanted)?.[1];
  }

  /** The dynamic section names addresses; where in the file they are, the loaded segments tell. */
  #offsetOf(address) {
    const inside = ({ type, address: from, fileBytes }) =>
      type === PT_LOAD && address >= from && address < from + fileBytes;
    const segment = this.segments.find(inside);
    if (segment === undefined) throw new Error(`address ${address} is not in the file`);
    return address - segment.address + segment.offset;
  }

  #string(offset) {
    const start = this.strings + offset;
    return this.bytes.toString('latin1', start, this.bytes.indexOf(0, start));
  }

  texts(tag) {
    return this.dynamic.filter(([found]) => found === tag).map(([, offset]) => this.#string(offset));
  }

  /** Versions of symbols that other libraries must have, such as GLIBC_2.17. */
  versions() {
    const count = this.#value(DT.verneednum) ?? 0;
    const names = [];
    let file = count === 0 ? 0 : this.#offsetOf(this.#value(DT.verneed));
    for (let index = 0; index < count; index += 1) {
      let aux = file + this.bytes.readUInt32LE(file + 8);
      for (let left = this.bytes.readUInt16LE(file + 2); left > 0; left -= 1) {
        names.push(this.#string(this.bytes.readUInt32LE(aux + 8)));
        aux += this.bytes.readUInt32LE(aux + 12);
      }
      file += this.bytes.readUInt32LE(file + 12);
    }
    return [...new Set(names)].sort();
  }
}

/** Facts of an ELF library: processor, libraries and versions of symbols that it needs, search paths, alignment. */
export function readElf(path) {
  const elf = new Elf(path);
  const loaded = elf.segments.filter(({ type }) => type === PT_LOAD);
  return {
    machine: elf.machine,
    needed: elf.texts(DT.needed),
    searchPaths: [...elf.texts(DT.rpath), ...elf.texts(DT.runpath)],
    versions: elf.versions(),
    alignBytes: Math.min(...loaded.map(({ align }) => align)),
  };
}
