// @ts-check
// `npm start [-- DIR]`: what io_uring gives a Node program, on real files. `--help` says the rest.
//
// Exit codes: 0 all well, 1 contents differed or something failed, 2 wrong arguments, 3 io_uring is not available
// here, 130 and 143 stopped by Ctrl-C and SIGTERM.

/** @param {unknown} error */
function isNotBuilt(error) {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return error.code === 'ERR_MODULE_NOT_FOUND' && error.message.includes('dist');
}

try {
  const { main } = await import('./showcase/main.mjs');
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!isNotBuilt(error)) throw error;
  console.error('uring: the package is not built yet: run `npm run build` first.');
  process.exitCode = 1;
}
