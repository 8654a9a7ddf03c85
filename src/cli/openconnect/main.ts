/**
 * The drop-in command's beginning: a thread for the tunnel, and the rest of the command loads while it starts.
 *
 * Read first: `command.ts`.
 */
import { startEngine } from '../../client/start-engine.ts';
import { standSomewhere } from '../somewhere.ts';
import { keepWhenWarm } from '../warm-program.ts';

/** Options after which there is no tunnel, or not in this process, as far as that can be said without reading the command line. */
const NO_TUNNEL = /^(?:-[A-Za-z]*[Vbh]|--(?:authe|auto|b|co|h|vers))/;

/**
 * Runs the command to its end; resolves with the exit status.
 *
 * @param keepCode called when the command has run what it mostly runs
 * @param words what stands in front of our arguments (`sallyport openconnect …`)
 */
export async function main(keepCode: () => void, words: readonly string[] = []): Promise<number> {
  standSomewhere();
  const argv = process.argv.slice(2 + words.length);
  const isTunnelLikely = argv.length > 0 && !argv.some((argument) => NO_TUNNEL.test(argument));
  const engine = isTunnelLikely ? startEngine() : undefined;
  keepWhenWarm(keepCode);
  const { runCommand } = await import('./command.ts');
  return runCommand(words, engine);
}
