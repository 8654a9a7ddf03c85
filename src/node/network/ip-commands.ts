/** Steps as lines of `ip -batch`, doing and undoing. Read first: ip(8), "-batch"; ip-route(8). Every word has been checked: no quoting is needed. */
import { isIpStepInEffect, isRouteOf } from './effects.ts';
import type { RoutingFacts } from './facts.ts';
import type { IpStep, RouteStep } from './steps.ts';

/** The line that brings the step into effect. `overOurs`: a route of ours with the same subject may be in its place. */
export function performLine(step: IpStep, { overOurs = false }: { readonly overOurs?: boolean } = {}): string {
  switch (step.kind) {
    case 'link':
      return `link set dev ${step.device} mtu ${step.mtu} up`;
    case 'address':
      // The route to an IPv6 address's network is a step of its own, with the metric we choose.
      return `address add ${step.address} dev ${step.device}${step.address.includes(':') ? ' noprefixroute' : ''}`;
    case 'route':
      return ['route', overOurs || step.replaces !== undefined ? 'replace' : 'add', ...routeWords(step)].join(' ');
  }
}

/** The lines that take the step back on a machine where these facts hold; none if there is nothing to take back. */
export function revertLines(step: IpStep, facts: RoutingFacts): readonly string[] {
  switch (step.kind) {
    case 'link': {
      const link = facts.links.find(({ name }) => name === step.device);
      if (link === undefined || (link.mtu === step.before.mtu && link.isUp === step.before.isUp)) return [];
      return [`link set dev ${step.device} mtu ${step.before.mtu} ${step.before.isUp ? 'up' : 'down'}`];
    }
    case 'address':
      return isIpStepInEffect(step, facts) ? [`address delete ${step.address} dev ${step.device}`] : [];
    case 'route':
      return [...(isIpStepInEffect(step, facts) ? [`route delete ${routeWords(step).join(' ')}`] : []), ...restoreLines(step, facts)];
  }
}

/** Puts back the route that gave way, unless its place is taken by another by now, or its device is gone. */
function restoreLines(step: RouteStep, facts: RoutingFacts): string[] {
  if (step.replaces === undefined) return [];
  const device = step.replaces[step.replaces.indexOf('dev') + 1];
  const isDeviceThere = facts.links.some(({ name }) => name === device);
  const inPlace = facts.routes.filter((route) => route.name === step.destination && route.metric === step.metric);
  return isDeviceThere && inPlace.every((route) => isRouteOf(step, route)) ? [`route add ${step.replaces.join(' ')}`] : [];
}

function routeWords(step: RouteStep): string[] {
  const words = [step.destination];
  if (step.via !== undefined) words.push('via', ...viaFamily(step), step.via);
  words.push('dev', step.device);
  if (step.source !== undefined) words.push('src', step.source);
  if (step.metric !== 0) words.push('metric', String(step.metric));
  if (step.mtu !== undefined) words.push('mtu', String(step.mtu));
  if (step.isOnlink) words.push('onlink');
  return words;
}

/** An IPv4 route by an IPv6 router has to say so (RFC 8950). */
function viaFamily(step: RouteStep): string[] {
  const isIpv6 = (text: string) => text.includes(':');
  return isIpv6(step.via ?? '') === isIpv6(step.destination) ? [] : [isIpv6(step.via ?? '') ? 'inet6' : 'inet'];
}
