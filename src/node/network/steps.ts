/**
 * The steps of a network set-up: each a change of the machine that can be taken back, as plain data, since that is what the journal keeps.
 *
 * A step says what is to be in effect, what to restore afterwards, and nothing about when. Taking it back twice is the same as once.
 */
import { parseCidr, parseIp } from '../../core/wire/ip-address.ts';

/** The tunnel's device has this MTU and is up. */
export interface LinkStep {
  readonly kind: 'link';
  readonly device: string;
  readonly mtu: number;
  readonly before: { readonly mtu: number; readonly isUp: boolean };
}

/** The tunnel's device has this address, written `address/prefix`. */
export interface AddressStep {
  readonly kind: 'address';
  readonly device: string;
  readonly address: string;
}

/** The main table has this route. */
export interface RouteStep {
  readonly kind: 'route';
  /** `gateway`: to the gateway itself; `excluded`: stays outside; `tunnel`: goes through the tunnel. */
  readonly purpose: 'gateway' | 'excluded' | 'tunnel';
  /** `address/prefix`. */
  readonly destination: string;
  readonly device: string;
  readonly via?: string;
  readonly source?: string;
  readonly isOnlink?: true;
  readonly metric: number;
  readonly mtu?: number;
  /** The words of the foreign route that has to give way, and comes back. */
  readonly replaces?: readonly string[];
}

/** systemd-resolved asks these servers by this link. */
export interface ResolvedStep {
  readonly kind: 'resolved';
  readonly device: string;
  readonly servers: readonly string[];
  /** In resolvectl's syntax: `~name` only routes queries, `name` is searched too. */
  readonly domains: readonly string[];
  /** Whether names that belong to no link's domains are asked here. */
  readonly isDefault: boolean;
}

/** resolvconf merges this in. */
export interface ResolvconfStep {
  readonly kind: 'resolvconf';
  /** The name it knows it by: `device.program`, so that no other program means the same. */
  readonly record: string;
  readonly content: string;
}

/** NetworkManager reads this file and writes resolv.conf from it. */
export interface NetworkManagerStep {
  readonly kind: 'network-manager';
  readonly path: string;
  readonly content: string;
}

/** /etc/resolv.conf has this content; `before`: what it had, null if it was not there. */
export interface ResolvConfStep {
  readonly kind: 'resolv-conf';
  readonly path: string;
  readonly content: string;
  readonly before: string | null;
}

export type DnsStep = ResolvedStep | ResolvconfStep | NetworkManagerStep | ResolvConfStep;
export type IpStep = LinkStep | AddressStep | RouteStep;
export type Step = IpStep | DnsStep;

export function isIpStep(step: Step): step is IpStep {
  return step.kind === 'link' || step.kind === 'address' || step.kind === 'route';
}

/** Whether the step is over as soon as the tunnel's device is gone. */
export function livesOnDevice(step: Step, device: string): boolean {
  return 'device' in step && step.device === device;
}

/** What a step is about: of two steps with the same subject, the later one takes the earlier one's place. */
export function subjectOf(step: Step): string {
  switch (step.kind) {
    case 'link':
      return `link ${step.device}`;
    case 'address':
      return `address ${step.device} ${step.address}`;
    case 'route':
      return `route ${step.destination} ${step.metric}`;
    case 'resolved':
      return `resolved ${step.device}`;
    case 'resolvconf':
      return `resolvconf ${step.record}`;
    case 'network-manager':
    case 'resolv-conf':
      return `${step.kind} ${step.path}`;
  }
}

/** For people: what the step sets, so that "could not set …" and "took back …" read well. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'link':
      return `the MTU ${step.mtu} of ${step.device}`;
    case 'address':
      return `the address ${step.address} of ${step.device}`;
    case 'route': {
      const purpose = { gateway: 'to the gateway, ', excluded: 'past the tunnel, ', tunnel: '' }[step.purpose];
      return `the route ${purpose}${step.destination} by ${step.device}${step.via === undefined ? '' : ` and ${step.via}`}`;
    }
    case 'resolved':
      return `the DNS of ${step.device} in systemd-resolved`;
    case 'resolvconf':
      return `the DNS record ${step.record} in resolvconf`;
    case 'network-manager':
      return 'the DNS in NetworkManager';
    case 'resolv-conf':
      return `the DNS in ${step.path}`;
  }
}

/** A network device's name, as far as we let one become an argument. */
export function isDeviceName(name: unknown): name is string {
  return typeof name === 'string' && /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(name);
}

/** Reads a step that was written as JSON; undefined if it is not one. Everything that may become an argument is checked. */
export function parseStep(value: unknown): Step | undefined {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return undefined;
  const step = value as Partial<Record<string, unknown>>;
  return STEP_CHECKS[String(step.kind)]?.(step) === true ? (value as Step) : undefined;
}

type Check = (step: Partial<Record<string, unknown>>) => boolean;

const isText: (value: unknown) => boolean = (value) => typeof value === 'string';
const isCount: (value: unknown) => boolean = (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
const isAddress: (value: unknown) => boolean = (value) => typeof value === 'string' && parseIp(value) !== undefined;
const isNetwork: (value: unknown) => boolean = (value) => typeof value === 'string' && parseCidr(value) !== undefined;
const isPath: (value: unknown) => boolean = (value) => typeof value === 'string' && value.startsWith('/');
const isWord: (value: unknown) => boolean = (value) => typeof value === 'string' && /^[A-Za-z0-9~._:/-]+$/.test(value);
const isOptional: (value: unknown, check: (value: unknown) => boolean) => boolean = (value, check) => value === undefined || check(value);
const isList: (value: unknown, check: (value: unknown) => boolean) => boolean = (value, check) =>
  Array.isArray(value) && value.every(check);

const STEP_CHECKS: Readonly<Record<string, Check>> = {
  link: ({ device, mtu, before }) => {
    const old = before as Partial<LinkStep['before']> | undefined | null;
    return isDeviceName(device) && isCount(mtu) && isCount(old?.mtu) && typeof old?.isUp === 'boolean';
  },
  address: ({ device, address }) => isDeviceName(device) && isNetwork(address),
  route: ({ purpose, destination, device, via, source, isOnlink, metric, mtu, replaces }) =>
    ['gateway', 'excluded', 'tunnel'].includes(String(purpose)) &&
    isNetwork(destination) &&
    isDeviceName(device) &&
    isOptional(via, isAddress) &&
    isOptional(source, isAddress) &&
    isOptional(isOnlink, (flag) => flag === true) &&
    isCount(metric) &&
    isOptional(mtu, isCount) &&
    isOptional(replaces, (words) => isList(words, isWord)),
  resolved: ({ device, servers, domains, isDefault }) =>
    isDeviceName(device) && isList(servers, isAddress) && isList(domains, isWord) && typeof isDefault === 'boolean',
  resolvconf: ({ record, content }) => typeof record === 'string' && isDeviceName(record.replace(/\.sallyport$/, '')) && isText(content),
  'network-manager': ({ path, content }) => isPath(path) && isText(content),
  'resolv-conf': ({ path, content, before }) => isPath(path) && isText(content) && (before === null || isText(before)),
};
