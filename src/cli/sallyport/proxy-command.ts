/**
 * `sallyport proxy`: the VPN for programs that know proxies, without root and without a change to the machine.
 *
 * Read first: client/proxy/vpn-proxy.ts.
 */
import { isLoopback } from '../../client/proxy/loopback.ts';
import { parsePortForward } from '../../client/proxy/port-forward.ts';
import { parseUserRule, type UserRule } from '../../client/proxy/route-rules.ts';
import { VpnProxy, type VpnProxyOptions } from '../../client/proxy/vpn-proxy.ts';
import { Vpn } from '../../client/vpn.ts';
import { MisuseError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { parseIp } from '../../core/wire/ip-address.ts';
import type { ProxyArguments, WayArguments } from './arguments.ts';
import { passwordFile, tunnelOptions } from './client-options.ts';
import { commandScene } from './command-scene.ts';
import { ConnectionCommand } from './connection-command.ts';
import type { ExitCode } from './exit-codes.ts';
import { explainError } from './explanation.ts';

/** Runs until the connection is over. */
export async function runProxy(host: string, given: ProxyArguments): Promise<ExitCode> {
  const cancel = new AbortController();
  const scene = commandScene(given, { configuresNetwork: false, goesToBackground: false, signal: cancel.signal });
  const { reporter } = scene;
  let proxy: VpnProxy | undefined;
  const command = new ConnectionCommand(reporter, cancel, {
    onUp: () => {
      if (proxy !== undefined) reporter.ready(proxy.places);
    },
  });
  try {
    const log: Logger = { log: (level, event, fields) => command.log(level, event, fields) };
    const wanted = await proxyOptions(given, log);
    if (!given.cookieStdin) reporter.starting(host);
    const options = await tunnelOptions(host, given, { ...scene, signal: cancel.signal, log });
    const vpn = await Vpn.create(host, { ...options, device: 'userspace' });
    // Before anybody is asked for a password: a port that is taken is said at once.
    proxy = await VpnProxy.open(vpn, wanted);
    return await command.run(vpn);
  } catch (error) {
    return command.end(explainError(error, 'logging in'));
  } finally {
    await proxy?.close();
  }
}

/** Rejects with MisuseError for what cannot be. */
async function proxyOptions(given: ProxyArguments, log: Logger): Promise<VpnProxyOptions> {
  const { listen, dns, auth, open, localForward = [], remoteForward = [] } = given;
  const [place, dnsPlace] = [listen, dns].map((text) => (text === undefined ? undefined : listenPlace(text)));
  if (!open) {
    if (auth === undefined) assertOnlyOurs(place, 'whoever does could use the VPN. Set a password with --auth, or allow it with --open');
    assertOnlyOurs(dnsPlace, "they could ask for the VPN's names. Allow it with --open");
  }
  return {
    ...place,
    ...(dnsPlace !== undefined && { dns: dnsPlace }),
    ...(auth !== undefined && { login: await passwordFile(auth, '--auth') }),
    ...(open && { isOpen: true }),
    rules: userRules(given),
    localForwards: localForward.map(parsePortForward),
    remoteForwards: remoteForward.map(parsePortForward),
    log,
  };
}

/** Throws MisuseError, in the words of this command line, for what the proxy refuses as well. */
function assertOnlyOurs(place: ListenPlace | undefined, danger: string): void {
  if (place?.address === undefined || isLoopback(place.address)) return;
  throw new MisuseError(`Others can reach ${place.address}: ${danger}.`);
}

/** Throws MisuseError. */
export function userRules({ via = [], direct = [] }: WayArguments): UserRule[] {
  return [...via.map((text) => parseUserRule('vpn', text)), ...direct.map((text) => parseUserRule('direct', text))];
}

interface ListenPlace {
  readonly address?: string;
  readonly port: number;
}

/** `[ADDRESS:]PORT`, the address of IPv6 in brackets. */
function listenPlace(text: string): ListenPlace {
  const [, bracketed, plain, digits] = /^(?:(?:\[([^\]]+)\]|([^:]+)):)?(\d{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  const port = Number(digits);
  if (digits === undefined || port > 65_535 || (address !== undefined && parseIp(address) === undefined)) {
    throw new MisuseError(`"${text}" is no place to listen: expected [ADDRESS:]PORT.`);
  }
  return { port, ...(address !== undefined && { address }) };
}
