// @ts-check
// The rows: what is measured, against whom, and what is to be reached.

/**
 * How one side of a row is run: arguments of its workload, and operations that take about a second.
 *
 * @typedef {object} Side
 * @property {string[]} args
 * @property {number} ops
 */

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {'ns/op' | 'bytes/op'} unit
 * @property {Side} ours
 * @property {Side | null} native null where there is nothing to compare with
 * @property {Side | null} node
 * @property {Goal | null} goal
 * @property {string | null} cachedFile has to be in the page cache when a side starts
 */

/**
 * Either a limit on ours / native, or one on the figure itself.
 *
 * @typedef {{ vsNativeMax: number } | { oursBelow: number, text: string }} Goal
 */

/**
 * @typedef {object} Input
 * @property {string} file the file to read from
 */

/** @param {string} mode @param {number} ops @param {Goal | null} goal @returns {Row} */
function nopRow(mode, ops, goal) {
  return {
    name: `nop.qd128.${mode}`,
    unit: 'ns/op',
    ours: { args: ['nop', '--mode', mode, '--depth', '128'], ops },
    native: { args: ['nop', '--depth', '128'], ops: 8_000_000 },
    node: null,
    goal,
    cachedFile: null,
  };
}

/**
 * A read from the page cache or the disk. Memory from `ring.alloc` is registered with the kernel, so the
 * native peer registers its memory as well; where ours reads into ordinary Buffers, it does not.
 *
 * @param {object} row
 * @param {string} row.name
 * @param {string} row.mode
 * @param {number} row.depth
 * @param {boolean} [row.direct]
 * @param {boolean} [row.userBuffer]
 * @param {{ ours: number, native: number, node: number }} row.ops
 * @param {Goal | null} row.goal
 * @param {Input} input
 * @returns {Row}
 */
function readRow({ name, mode, depth, direct = false, userBuffer = false, ops, goal }, { file }) {
  const shared = ['read', '--file', file, '--depth', String(depth), ...(direct ? ['--direct'] : [])];
  const oursArgs = [...shared, '--mode', mode, ...(userBuffer ? ['--user-buffer'] : [])];
  const nodeArgs = [...shared, '--mode', mode === 'promise' ? 'promise' : 'callback'];
  return {
    name,
    unit: 'ns/op',
    ours: { args: oursArgs, ops: ops.ours },
    native: { args: [...shared, ...(userBuffer ? [] : ['--fixed'])], ops: ops.native },
    node: { args: nodeArgs, ops: ops.node },
    goal,
    cachedFile: direct ? null : file,
  };
}

/** @returns {Row} */
function allocationRow() {
  return {
    name: 'alloc.bytesPerOp.callback',
    unit: 'bytes/op',
    ours: { args: ['alloc', '--depth', '128', '--warmup', '2000000'], ops: 200_000 },
    native: null,
    node: null,
    // The smallest object on V8's heap has 8 bytes, so less than half a byte for each operation can only
    // come from something that happens once for many of them, such as a turn of the event loop.
    goal: { oursBelow: 0.5, text: '0' },
    cachedFile: null,
  };
}

/**
 * @param {Input} input
 * @returns {Row[]}
 */
export function makeRows(input) {
  const cached = { ours: 800_000, native: 800_000 };
  const direct = { ours: 50_000, native: 50_000, node: 30_000 };
  const alone = { ours: 400_000, native: 600_000, node: 40_000 };
  return [
    nopRow('manual', 6_000_000, { vsNativeMax: 1.25 }),
    nopRow('callback', 6_000_000, null),
    nopRow('promise', 3_000_000, null),
    readRow(
      {
        name: 'read4k.qd128.manual',
        mode: 'manual',
        depth: 128,
        ops: { ...cached, node: 80_000 },
        goal: { vsNativeMax: 1.05 },
      },
      input,
    ),
    readRow(
      {
        name: 'read4k.qd128.callback',
        mode: 'callback',
        depth: 128,
        ops: { ...cached, node: 80_000 },
        goal: { vsNativeMax: 1.05 },
      },
      input,
    ),
    readRow(
      {
        name: 'read4k.qd128.promise',
        mode: 'promise',
        depth: 128,
        ops: { ...cached, node: 80_000 },
        goal: { vsNativeMax: 1.15 },
      },
      input,
    ),
    readRow(
      { name: 'read4k.qd1.promise', mode: 'promise', depth: 1, ops: alone, goal: { vsNativeMax: 1.7 } },
      input,
    ),
    readRow(
      {
        name: 'read4k.qd128.promise.userBuffer',
        mode: 'promise',
        depth: 128,
        userBuffer: true,
        ops: { ...cached, node: 80_000 },
        goal: { vsNativeMax: 1.25 },
      },
      input,
    ),
    readRow(
      {
        name: 'readDirect4k.qd64.promise',
        mode: 'promise',
        depth: 64,
        direct: true,
        ops: direct,
        goal: null,
      },
      input,
    ),
    allocationRow(),
  ];
}
