/** What guest.sh mounts: a line for each drive, with its name in the guest. */
export function mountLines(drives, names) {
  return drives.map(({ fileSystem, target }, at) => `${names[at]} ${fileSystem} ${target}\n`).join('');
}
