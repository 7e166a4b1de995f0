#!/usr/bin/env node
// `npx uring`. Node reads all modules of the package at once: where it may open too few files for that, this one can still
// say so.
try {
  const { main } = await import('./main.ts');
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'EMFILE' && code !== 'ENFILE') throw error;
  const reason = `this process may not even open the files of the package (${code}): RLIMIT_NOFILE is too low`;
  const remedy =
    'raise it (`ulimit -n`, LimitNOFILE= in systemd, docker run --ulimit nofile=65536), to 1024 or more';
  const availability = { available: false, code: 'descriptors', reason, remedy };
  process.stdout.write(
    process.argv.includes('--json')
      ? `${JSON.stringify({ availability }, undefined, 2)}\n`
      : `\n  ✘ io_uring cannot be used here.\n\n  ${reason}.\n  What to do: ${remedy}.\n\n`,
  );
  process.exitCode = 1;
}
