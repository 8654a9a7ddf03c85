/** What sessions that did not live to clean up have left of their network set-up: found cheaply, undone before another is made. */
import type { Logger } from '../core/log.ts';
import { findControls } from '../node/control-socket.ts';
import { creatorOf, findJournals } from '../node/network/journal.ts';
import type { RecoverOptions, Recovery } from '../node/network/recover.ts';
import { ownerOf } from '../node/network/resolv-conf.ts';
import { RESOLV_CONF } from '../node/network/resolver.ts';
import { checkStateDirectory, stateDirectory } from '../node/network/state-directory.ts';
import { readTextFile } from '../node/network/text-file.ts';
import { isRunning } from '../node/processes/process-identity.ts';

/** Whether a recovery would find something. Rejects with a SallyportError if others can write to the folder of the journals. */
export async function hasLeftovers(directory: string = stateDirectory()): Promise<boolean> {
  const journals = checkStateDirectory(directory) ? await findJournals(directory) : [];
  if (journals.some(({ owner }) => !isRunning(owner))) return true;
  const session = ownerOf(await readTextFile(RESOLV_CONF)); // after a power cut the file is all there is
  return session !== undefined && !isRunning(creatorOf(session));
}

/** Undoes them. Logs each line of what was done. */
export async function recoverLeftovers(
  log: Logger,
  signal: AbortSignal,
  options: Pick<RecoverOptions, 'scriptOutput'> = {},
): Promise<readonly Recovery[]> {
  await findControls(); // removes the sockets of the dead
  if (!(await hasLeftovers())) return [];
  const { recover } = await import('../node/network/recover.ts');
  const reports = await recover({ ...options, signal });
  for (const { outcome, lines } of reports) for (const line of lines) log.log('warn', 'recovered', { outcome, line });
  return reports;
}
