/** `sallyport connect`: this machine in the VPN, by an interface with addresses, routes and DNS. */
import { Vpn } from '../../client/vpn.ts';
import type { Logger } from '../../core/log.ts';
import type { BackgroundReport } from '../background.ts';
import type { ConnectArguments } from './arguments.ts';
import { connectOptions } from './client-options.ts';
import { commandScene } from './command-scene.ts';
import { ConnectionCommand } from './connection-command.ts';
import type { ExitCode } from './exit-codes.ts';
import { explainError } from './explanation.ts';

/** Runs until the connection is over. `background`: the way to the parent that waits for the tunnel. */
export async function runConnect(host: string, given: ConnectArguments, background: BackgroundReport | undefined): Promise<ExitCode> {
  const cancel = new AbortController();
  const scene = commandScene(given, {
    configuresNetwork: given.network,
    goesToBackground: given.background === true,
    signal: cancel.signal,
  });
  const command = new ConnectionCommand(scene.reporter, cancel, { onUp: () => background?.up() });
  const starts = () => scene.reporter.starting(host);
  // Whoever pipes a log-in into this command has its questions on the same terminal: nothing is written there before the cookie comes.
  if (!given.cookieStdin) starts();
  try {
    const log: Logger = { log: (level, event, fields) => command.log(level, event, fields) };
    const context = { ...scene, signal: cancel.signal, log };
    const options = await connectOptions(host, given, context).finally(() => given.cookieStdin && starts());
    return await command.run(await Vpn.create(host, options));
  } catch (error) {
    return command.end(explainError(error, 'logging in'));
  }
}
