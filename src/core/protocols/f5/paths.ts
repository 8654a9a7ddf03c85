/** Where a BIG-IP has what: the paths of its HTTP, the same for client and gateway (spec "F5", section 1.2). */

export const PATHS = {
  policy: '/my.policy',
  logOutPage: '/my.logout.php3',
  webtop: '/vdesk/webtop.eui',
  resources: '/vdesk/vpn/index.php3',
  options: '/vdesk/vpn/connect.php3',
  tunnel: '/myvpn',
  hangUp: '/vdesk/hangup.php3',
} as const;

/** What ends the query of each request for a document. */
export const AS_XML = 'outform=xml&client_version=2.0';
