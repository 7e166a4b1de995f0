// @ts-check
// The rows: what is measured, against whom, and what is to be reached.

/**
 * How one side of a row is run: arguments of its workload, and operations that take about a second.
 *
 * @typedef {object} Side
 * @property {string} [script] below `workloads/`, of the sides that are JavaScript; default `ours.mjs` and `node.mjs`
 * @property {string[]} args
 * @property {number} ops
 */

/**
 * How a row is measured. Alone: each side is a process that prints what an operation took. Served: each side is a
 * server, and what is printed comes from what drives it. Ticked: each side waits for what comes through a pipe.
 *
 * @typedef {{ kind: 'alone' }
 *   | { kind: 'served', load: (ops: string) => string[], figure: 'cpu_ns_per_op' | 'bytes_per_op' }
 *   | { kind: 'ticked', figure: 'ns_per_op' | 'p99_ns' }} Way
 */

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {'ns/op' | 'bytes/op' | 'CPU ns/msg' | 'bytes/conn' | 'ns'} unit
 * @property {Way} way
 * @property {Side} ours
 * @property {Side | null} native null where there is nothing to compare with
 * @property {Side | null} node
 * @property {Goal | null} goal
 * @property {string | null} cachedFile has to be in the page cache when a side starts
 */

/**
 * Limits on ours / native and ours / node, or one on the figure itself.
 *
 * @typedef {object} Goal
 * @property {number} [vsNativeMax]
 * @property {number} [vsNodeMax]
 * @property {{ limit: number, text: string }} [oursBelow]
 */

/**
 * @typedef {object} Input
 * @property {string} file the large file to read from
 * @property {string} folder where the small files are
 * @property {number} files how many of them
 * @property {string} scratch folder for files that are written
 */

/** @type {Way} */
const ALONE = { kind: 'alone' };

/** @param {string} mode @param {number} ops @param {Goal | null} goal @returns {Row} */
function nopRow(mode, ops, goal) {
  return {
    name: `nop.qd128.${mode}`,
    unit: 'ns/op',
    way: ALONE,
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
    way: ALONE,
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
    way: ALONE,
    ours: { args: ['alloc', '--depth', '128', '--warmup', '2000000'], ops: 200_000 },
    native: null,
    node: null,
    // The smallest object on V8's heap has 8 bytes, so less than half a byte for each operation can only
    // come from something that happens once for many of them, such as a turn of the event loop.
    goal: { oursBelow: { limit: 0.5, text: '0' } },
    cachedFile: null,
  };
}

/**
 * A row whose sides are each a file of their own, of the same name for both sides that are JavaScript.
 *
 * @param {object} row
 * @param {string} row.name
 * @param {string} row.command of the native peer
 * @param {string[]} row.args of all sides
 * @param {{ ours: number, native: number, node: number }} row.depth
 * @param {{ ours: number, native: number, node: number }} row.ops
 * @param {Goal | null} row.goal
 * @returns {Row}
 */
function filesRow({ name, command, args, depth, ops, goal }) {
  /** @param {'ours' | 'native' | 'node'} side */
  const argsOf = (side) => [...args, '--depth', String(depth[side])];
  return {
    name,
    unit: 'ns/op',
    way: ALONE,
    ours: { script: `ours/${command}.mjs`, args: argsOf('ours'), ops: ops.ours },
    native: { args: [command, ...argsOf('native')], ops: ops.native },
    node: { script: `node/${command}.mjs`, args: argsOf('node'), ops: ops.node },
    goal,
    cachedFile: null,
  };
}

/** @param {Input} input @returns {Row[]} */
function filesRows({ folder, files, scratch }) {
  const many = ['--folder', folder, '--files', String(files)];
  return [
    filesRow({
      name: 'files.read.small',
      command: 'files-read',
      args: many,
      depth: { ours: 128, native: 128, node: 64 },
      ops: { ours: 10 * files, native: 10 * files, node: 2 * files },
      goal: { vsNativeMax: 1.2, vsNodeMax: 0.1 },
    }),
    filesRow({
      name: 'files.stat',
      command: 'files-stat',
      args: many,
      depth: { ours: 128, native: 128, node: 128 },
      ops: { ours: 30 * files, native: 30 * files, node: 5 * files },
      goal: { vsNativeMax: 1.2 },
    }),
    filesRow({
      name: 'wal.append',
      command: 'wal',
      args: ['--file', `${scratch}/wal.log`],
      depth: { ours: 64, native: 64, node: 64 },
      ops: { ours: 40_000, native: 40_000, node: 20_000 },
      goal: null,
    }),
  ];
}

/**
 * Two servers of the same name, and the native one, driven by the same load.
 *
 * @param {string} name
 * @param {Row['unit']} unit
 * @param {Way} way
 * @param {number} ops
 * @param {Goal | null} goal
 * @returns {Row}
 */
function serverRow(name, unit, way, ops, goal) {
  return {
    name,
    unit,
    way,
    ours: { script: 'ours/echo.mjs', args: [], ops },
    native: { args: ['echo'], ops },
    node: { script: 'node/echo.mjs', args: [], ops },
    goal,
    cachedFile: null,
  };
}

/**
 * @param {string} name
 * @param {{ connections: number, size: number, pipeline?: number, ops: number }} load
 * @returns {Row}
 */
function echoRow(name, { connections, size, pipeline = 1, ops }) {
  const args = ['--connections', String(connections), '--size', String(size), '--pipeline', String(pipeline)];
  /** @type {Way} */
  const way = { kind: 'served', load: (count) => ['load', ...args, '--ops', count], figure: 'cpu_ns_per_op' };
  return serverRow(`echo.tcp.${name}`, 'CPU ns/msg', way, ops, { vsNativeMax: 1.1, vsNodeMax: 0.5 });
}

/** @returns {Row} */
function idleRow() {
  // The number of connections is what the row is about: it is the same in short runs.
  const load = () => ['hold', '--connections', '10000'];
  return serverRow('idle.tcp.rss', 'bytes/conn', { kind: 'served', load, figure: 'bytes_per_op' }, 1, null);
}

/** @param {string} name @param {'ns_per_op' | 'p99_ns'} figure @returns {Row} */
function wakeRow(name, figure) {
  const ops = 5000;
  return {
    name,
    unit: 'ns',
    way: { kind: 'ticked', figure },
    ours: { script: 'ours/wake.mjs', args: [], ops },
    native: { args: ['wake'], ops },
    node: { script: 'node/wake.mjs', args: [], ops },
    goal: null,
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
    ...filesRows(input),
    echoRow('c50.b64', { connections: 50, size: 64, ops: 150_000 }),
    echoRow('c50.b64.p16', { connections: 50, size: 64, pipeline: 16, ops: 1_600_000 }),
    echoRow('c500.b64', { connections: 500, size: 64, ops: 150_000 }),
    echoRow('c50.b4096', { connections: 50, size: 4096, ops: 150_000 }),
    idleRow(),
    wakeRow('wake.latency', 'ns_per_op'),
    wakeRow('wake.latency.p99', 'p99_ns'),
  ];
}
