/**
 * The process that holds a namespace for programs: makes the TUN interface in it, says so, and stays until its parent has gone.
 *
 *   parent ──► unshare ──► [ this ]   standard output: {"fd":17,"name":"tun0","offloads":{…}}   standard input: its end is ours
 */
import { once } from 'node:events';
import { wantedOffloads } from '../engine/offloads.ts';
import { libc } from '../ffi/libc.ts';
import { openTun } from '../ffi/tun.ts';

/** The interface's name inside: nobody else has one there. */
const NAME = 'tun0';

/** Resolves when the parent has gone. Throws SallyportError. */
export async function holdNamespace(): Promise<void> {
  const { fd, name, offloads } = openTun(libc('A network of its own for a program'), NAME, wantedOffloads());
  process.stdout.write(`${JSON.stringify({ fd, name, offloads })}\n`);
  process.stdin.resume();
  await once(process.stdin, 'end');
}
