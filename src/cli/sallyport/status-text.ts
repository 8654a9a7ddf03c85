/** What `sallyport status` says of a session. */
import { gatewayName, type VpnState, type VpnStatus } from '../../client/vpn-status.ts';
import { row, withoutPrefix } from './connection-text.ts';
import { bytesText, dateText, durationText, listText, transportText } from './human-text.ts';

const STATES: Readonly<Record<VpnState, string>> = {
  idle: 'starting',
  authenticating: 'logging in',
  opening: 'connecting',
  'bringing-up': 'setting up',
  up: 'connected',
  reconnecting: 'reconnecting',
  closing: 'disconnecting',
  closed: 'disconnected',
};

/** `now`: milliseconds since 1970. */
export function statusLines(status: VpnStatus, pid: number, now: number): string[] {
  const { state, gateway, user, device, addresses, mtu, transport, cipherSuite, upSince, expiresAt, reconnecting, traffic } = status;
  const since = state === 'up' && upSince !== undefined ? ` for ${durationText(now - Date.parse(upSince))}` : '';
  const where = gateway.address === undefined || gateway.address === gateway.host ? '' : ` (${gateway.address})`;
  const amount = (word: string, { bytes, bytesPerSecond }: VpnStatus['traffic']['sent']) =>
    `${word} ${bytesText(bytes)} (${bytesText(bytesPerSecond)}/s)`;
  return [
    `${gatewayName(gateway)}${where}: ${STATES[state]}${since}`,
    ...(reconnecting === undefined ? [] : [row('Lost', lostText(reconnecting, now))]),
    ...(user === undefined ? [] : [row('User', user)]),
    ...(addresses.length === 0 ? [] : [row('This machine', placeText(addresses, device, mtu))]),
    ...(transport === undefined ? [] : [row('Transport', transportText(transport, cipherSuite))]),
    ...(upSince === undefined ? [] : [row('Traffic', `${amount('received', traffic.received)}, ${amount('sent', traffic.sent)}`)]),
    ...(expiresAt === undefined ? [] : [row('Until', dateText(new Date(expiresAt)))]),
    row('Process', String(pid)),
  ];
}

function placeText(addresses: readonly string[], device: string | undefined, mtu: number | undefined): string {
  const on = device === undefined ? '' : ` on ${device}`;
  return `${listText(addresses.map(withoutPrefix))}${on}${mtu === undefined ? '' : `, MTU ${mtu}`}`;
}

function lostText({ since, nextTryAt }: NonNullable<VpnStatus['reconnecting']>, now: number): string {
  const wait = nextTryAt === undefined ? 0 : Date.parse(nextTryAt) - now;
  return `${durationText(now - Date.parse(since))} ago${wait > 0 ? `; next try in ${durationText(wait)}` : ''}`;
}
