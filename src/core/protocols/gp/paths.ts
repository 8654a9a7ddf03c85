/** What is where (spec "GlobalProtect", section 1). */
export const PATHS = {
  portalPrelogin: '/global-protect/prelogin.esp',
  portalConfiguration: '/global-protect/getconfig.esp',
  prelogin: '/ssl-vpn/prelogin.esp',
  login: '/ssl-vpn/login.esp',
  configuration: '/ssl-vpn/getconfig.esp',
  reportCheck: '/ssl-vpn/hipreportcheck.esp',
  report: '/ssl-vpn/hipreport.esp',
  tunnel: '/ssl-tunnel-connect.sslvpn',
  /** Of an identity provider's answers (spec 4.1), and where our own for tests begins. */
  assertion: '/SAML20/SP/ACS',
  browserLogin: '/SAML20/SP/login',
  logOut: '/ssl-vpn/logout.esp',
} as const;

/** The word by which servers know VPN clients (spec 2.1). */
export const USER_AGENT = 'PAN GlobalProtect';

/** The protocol's generation: never seen different. */
export const CLIENT_VERSION = '4100';
