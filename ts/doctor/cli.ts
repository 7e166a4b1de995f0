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
    'raise it to 1024 or more (`ulimit -n`, LimitNOFILE= in systemd, docker run --ulimit nofile=65536)';
  const availability = { available: false, code: 'descriptors', reason, remedy };
  // As page.ts would say it, which cannot be read.
  const page = `
  ✘ io_uring cannot be used here.

  Why           This process may not even open the files of the package
                (${code}): RLIMIT_NOFILE is too low.
  What to do    Raise it to 1024 or more (\`ulimit -n\`, LimitNOFILE= in
                systemd, docker run --ulimit nofile=65536).

  Code          descriptors, ${code}

`;
  const isForMachines = process.argv.includes('--json');
  process.stdout.write(isForMachines ? `${JSON.stringify({ availability }, undefined, 2)}\n` : page);
  process.exitCode = 1;
}
