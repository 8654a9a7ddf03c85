/** Where programs can come, as the line that says that the proxy is ready has it. */
import type { Place, VpnProxyPlaces } from '../../client/proxy/vpn-proxy.ts';
import { authority } from '../../core/http/url.ts';

/** One line, for people and for scripts that wait for it: words of `what=where`, in a fixed order. */
export function placesText({ proxy, dns, localForwards }: VpnProxyPlaces): string {
  return [
    `proxy=${placeText(proxy)}`,
    ...(dns === undefined ? [] : [`dns=${placeText(dns)}`]),
    ...localForwards.map(({ to, ...at }) => `forward=${placeText(at)}->${placeText(to)}`),
  ].join(' ');
}

export function placeText(place: Place): string {
  return authority(place);
}
