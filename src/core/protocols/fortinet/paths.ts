/** Where a Fortinet gateway has what: the paths of its HTTP, the same for client and gateway (spec "Fortinet", section 1.3). */

export const PATHS = {
  login: '/remote/login',
  loginCheck: '/remote/logincheck',
  info: '/remote/info',
  index: '/remote/index',
  portal: '/remote/portal',
  webPortal: '/sslvpn/portal.html',
  legacyConfiguration: '/remote/fortisslvpn',
  configuration: '/remote/fortisslvpn_xml',
  tunnel: '/remote/sslvpn-tunnel',
  logOut: '/remote/logout',
  samlStart: '/remote/saml/start',
  samlId: '/remote/saml/auth_id',
} as const;
