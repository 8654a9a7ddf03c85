/**
 * Who reads our output may leave, and the terminal may be closed: the tunnel stays, and what was set up is put back in the end all the same.
 * Node ignores SIGPIPE; without a listener it would end the process for the error instead.
 */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
}
