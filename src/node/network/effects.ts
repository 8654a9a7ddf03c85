/** What steps have done to a machine: whether one is in effect, what the machine would be without them, and what is left to do. Pure. */
import { isDeepStrictEqual } from 'node:util';
import { formatCidr, formatIp, parseCidr } from '../../core/wire/ip-address.ts';
import type { NetworkFacts, RoutingFacts } from './facts.ts';
import { ownerOf } from './resolv-conf.ts';
import type { MachineRoute } from './routes.ts';
import { type IpStep, isIpStep, type RouteStep, type Step, subjectOf } from './steps.ts';

/** Whether the machine is as the step says. What cannot be seen (systemd-resolved, resolvconf, NetworkManager) counts as in effect. */
export function isInEffect(step: Step, facts: NetworkFacts): boolean {
  if (isIpStep(step)) return isIpStepInEffect(step, facts);
  return step.kind !== 'resolv-conf' || (facts.resolver.kind === 'file' && facts.resolver.content === step.content);
}

/** Whether links and routes are as the step says. */
export function isIpStepInEffect(step: IpStep, { links, routes }: RoutingFacts): boolean {
  switch (step.kind) {
    case 'link':
      return links.some(({ name, mtu, isUp }) => name === step.device && mtu === step.mtu && isUp);
    case 'address':
      return links.some(({ name, addresses }) => name === step.device && addresses.some((has) => formatCidr(has) === step.address));
    case 'route':
      return routes.some((route) => isRouteOf(step, route));
  }
}

/** Whether this route of the machine is the one that the step adds. */
export function isRouteOf(step: RouteStep, route: MachineRoute): boolean {
  if (route.name !== step.destination || route.metric !== step.metric || route.isSelective) return false;
  return route.hops.some(({ device, via }) => device === step.device && (via === undefined ? undefined : formatIp(via)) === step.via);
}

/** The facts as they would be if these steps had not been taken. */
export function factsWithout(steps: readonly Step[], facts: NetworkFacts, session: string): NetworkFacts {
  const routes = steps.filter((step) => step.kind === 'route');
  const links = facts.links.map((link) => {
    const own = steps.filter((step) => 'device' in step && step.device === link.name);
    const before = own.find((step) => step.kind === 'link')?.before ?? link;
    const addresses = link.addresses.filter((has) => !own.some((step) => step.kind === 'address' && step.address === formatCidr(has)));
    return { ...link, mtu: before.mtu, isUp: before.isUp, addresses };
  });
  return {
    ...facts,
    links,
    routes: [...facts.routes.filter((route) => !routes.some((step) => isRouteOf(step, route))), ...routes.flatMap(restored)],
    resolver: resolverWithout(steps, facts.resolver, session),
  };
}

/** The route that had to give way, as far as planning needs to know it: its place is taken, and by what words it comes back. */
function restored({ destination: name, metric, replaces: words }: RouteStep): MachineRoute[] {
  const destination = parseCidr(name);
  return destination === undefined || words === undefined ? [] : [{ destination, name, metric, hops: [], isSelective: false, words }];
}

function resolverWithout(steps: readonly Step[], resolver: NetworkFacts['resolver'], session: string): NetworkFacts['resolver'] {
  const step = steps.find((one) => one.kind === 'resolv-conf');
  if (resolver.kind !== 'file' || step === undefined || ownerOf(resolver.content) !== session) return resolver;
  return { ...resolver, content: step.before };
}

export interface PlanChange {
  /** To perform, in order; `overOurs`: in the place of a step of ours that is in effect. */
  readonly perform: readonly { readonly step: Step; readonly overOurs: boolean }[];
  /** To take back afterwards: what is no longer wanted. */
  readonly revert: readonly Step[];
}

/**
 * What turns the steps taken into the steps wanted, on a machine that may have lost some of them. `isCertain`: the last change was not cut
 * short, so what cannot be seen is as it was left.
 */
export function changesBetween(taken: readonly Step[], wanted: readonly Step[], facts: NetworkFacts, isCertain: boolean): PlanChange {
  const wantedSubjects = new Set(wanted.map(subjectOf));
  const takenBySubject = new Map<string, Step[]>(); // several where a change was cut short
  for (const step of taken) takenBySubject.set(subjectOf(step), [...(takenBySubject.get(subjectOf(step)) ?? []), step]);
  return {
    perform: wanted.flatMap((step) => {
      const earlier = (takenBySubject.get(subjectOf(step)) ?? []).filter((one) => isInEffect(one, facts));
      const isDone = earlier.some((one) => isDeepStrictEqual(one, step)) && (isCertain || isIpStep(step));
      return isDone ? [] : [{ step, overOurs: earlier.length > 0 }];
    }),
    revert: taken.filter((step) => !wantedSubjects.has(subjectOf(step))),
  };
}
