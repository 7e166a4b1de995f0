// IP addresses as text and as bytes in network order (RFC 5952, and what libuv's uv_inet_ntop makes of them).

/** Bytes of an address that `net.isIPv4` accepts. */
export function parseIPv4(text: string): Uint8Array {
  return Uint8Array.from(text.split('.'), Number);
}

/** Bytes of an address that `net.isIPv6` accepts, without its scope. */
export function parseIPv6(text: string): Uint8Array {
  const [head = '', tail] = text.split('::');
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = Array<number>(8 - before.length - after.length).fill(0);
  return Uint8Array.from([...before, ...zeros, ...after].flatMap((group) => [group >>> 8, group & 0xff]));
}

/** The 16-bit groups of a part of an address, whose last 32 bits may be written as IPv4. */
function groups(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = parseIPv4(group);
    return [(a << 8) | b, (c << 8) | d];
  });
}

export function formatIPv4(bytes: Uint8Array): string {
  return bytes.join('.');
}

export function formatIPv6(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, at) => ((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0));
  const [start, length] = longestZeros(words);
  const endsAsIPv4 = start === 0 && (length === 6 || (length === 5 && words[5] === 0xffff));
  const texts = words.slice(0, endsAsIPv4 ? 6 : 8).map((word) => word.toString(16));
  if (endsAsIPv4) texts.push(formatIPv4(bytes.subarray(12, 16)));
  if (length < 2) return texts.join(':');
  return `${texts.slice(0, start).join(':')}::${texts.slice(start + length).join(':')}`;
}

/** Where the longest run of zero groups starts, and how long it is; the first of equals. */
function longestZeros(words: readonly number[]): readonly [start: number, length: number] {
  let [bestStart, bestLength, length] = [-1, 0, 0];
  for (const [at, word] of words.entries()) {
    length = word === 0 ? length + 1 : 0;
    if (length > bestLength) [bestStart, bestLength] = [at - length + 1, length];
  }
  return [bestStart, bestLength];
}
