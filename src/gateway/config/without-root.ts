/**
 * What of a configuration does not apply to a gateway without an interface, or without root: said at the start in one line each, or refused, where it
 * would be taken for protection that is not there.
 */
import { SallyportError } from '../../core/errors.ts';
import type { AuthMethod, GatewayConfig } from './gateway-config.ts';

/** Sentences for the log. Throws {@link SallyportError} for what must not be left out in silence. */
export function withoutRoot(config: GatewayConfig, isRoot: boolean): string[] {
  return [
    ...(config.network.isUserspace ? userspaceNotices(config) : interfaceNotices(isRoot)),
    ...(isRoot ? [] : rootlessNotices(config)),
  ];
}

function userspaceNotices({ network, scripts }: GatewayConfig): string[] {
  const idle = [
    ...(network.pingLeases ? ['ping-leases'] : []),
    ...(network.routeAddCommand === undefined && network.routeDeleteCommand === undefined ? [] : ['the commands for routes']),
  ];
  const notices = [
    'Without an interface: clients reach what this process can reach by TCP and UDP; of pings only those to the gateway are answered.',
  ];
  if (idle.length > 0) notices.push(`Without an interface these have no effect: ${idle.join(', ')}.`);
  if (Object.keys(scripts).length > 0) notices.push('Scripts are told the device "userspace": there is no such interface.');
  return notices;
}

function interfaceNotices(isRoot: boolean): string[] {
  if (isRoot) return [];
  return [
    'An interface (TUN) needs root or CAP_NET_ADMIN. device = "userspace", or --userspace, needs neither: see docs/gateway.md, "Without root".',
  ];
}

function rootlessNotices({ processes, scripts, hosts, listen }: GatewayConfig): string[] {
  const confined = [
    ...(processes.chroot === undefined ? [] : ['chroot']),
    ...(listen.networkNamespace === undefined ? [] : ['network-namespace']),
  ];
  if (confined.length > 0) {
    throw new SallyportError(
      'ERR_RIGHTS',
      `Only root can have this, and it is there to protect: ${confined.join(', ')}. Remove it from the configuration, or start as root.`,
    );
  }
  const notices = [`Without root all processes run as this user: user and group (${processes.user}, ${processes.group}) have no effect.`];
  if (Object.keys(scripts).length > 0) notices.push('Without root scripts run as this user.');
  const methods = hosts.flatMap(({ auth }) => [...auth.required, ...auth.alternatives]);
  if (methods.some(isPam))
    notices.push('Without root PAM can check what it may read only: with pam_unix that is the password of this user and no other.');
  return notices;
}

function isPam({ method }: AuthMethod): boolean {
  return method === 'pam';
}
