/**
 * The headers that go with every AnyConnect request, in the order and capitalisation of the reference client.
 *
 * Read first: spec "AnyConnect", section 2 "HTTPS conventions and request headers".
 */
import type { HttpHeaders } from '../../http/message.ts';
import type { ClientIdentification } from '../client-protocol.ts';

/** Sent together, only with a mobile identity (spec 2.3). */
export function mobileHeaders(client: ClientIdentification): HttpHeaders {
  const { mobile } = client;
  if (mobile === undefined) return [];
  return [
    ['X-AnyConnect-Identifier-ClientVersion', client.version],
    ['X-AnyConnect-Identifier-Platform', client.os],
    ['X-AnyConnect-Identifier-PlatformVersion', mobile.platformVersion],
    ['X-AnyConnect-Identifier-DeviceType', mobile.deviceType],
    ['X-AnyConnect-Identifier-Device-UniqueID', mobile.uniqueId],
  ];
}
