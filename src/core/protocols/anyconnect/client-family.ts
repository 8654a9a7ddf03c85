/**
 * Which client this is, by its User-Agent, and whether it is a mobile one: what decides the dialect that a gateway answers in.
 *
 * Read first: spec "AnyConnect", sections 2.3, 3.10, 11.2 and 11.6.
 */
import { type HttpHeaders, headerValue } from '../../http/message.ts';

/** `apple`: Cisco's client for Apple's mobile systems. */
export type ClientFamily = 'openconnect' | 'anyconnect' | 'apple' | 'unknown';

export function clientFamily(userAgent: string): ClientFamily {
  if (/^(?:Open AnyConnect VPN Agent v\d|OpenConnect VPN Agent)/i.test(userAgent)) return 'openconnect';
  if (/^Cisco AnyConnect VPN Agent for Apple/i.test(userAgent)) return 'apple';
  return /^(?:Cisco )?AnyConnect/i.test(userAgent) ? 'anyconnect' : 'unknown';
}

/** openconnect before version 4 wants its documents without the envelope. */
export function wantsBareDocuments(userAgent: string): boolean {
  const version = /^Open AnyConnect VPN Agent v(\d{1,9})/i.exec(userAgent)?.[1];
  return version !== undefined && Number(version) <= 3;
}

/** What a mobile client says of itself. */
export interface DeviceFacts {
  readonly isMobile: boolean;
  readonly deviceType?: string;
  readonly devicePlatform?: string;
}

/** Characters of what is kept for scripts and statistics (spec 2.3). */
const MAX_FACT_LENGTH = 63;

export function deviceFacts(headers: HttpHeaders): DeviceFacts {
  const fact = (name: string) => headerValue(headers, `X-AnyConnect-Identifier-${name}`)?.slice(0, MAX_FACT_LENGTH);
  const [deviceType, devicePlatform] = [fact('DeviceType'), fact('Platform')];
  return {
    isMobile: /^(?:apple-ios|android)/i.test(devicePlatform ?? '') || clientFamily(headerValue(headers, 'User-Agent') ?? '') === 'apple',
    ...(deviceType !== undefined && { deviceType }),
    ...(devicePlatform !== undefined && { devicePlatform }),
  };
}
