/** The folder that a command was started in may be gone. Node starts no thread there: the root does as well, as no name leads anywhere from such a folder. */
export function standSomewhere(): void {
  try {
    process.cwd();
  } catch {
    process.chdir('/');
  }
}
