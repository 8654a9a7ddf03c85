/** Where a Network Connect gateway has what: the paths of its HTTP, the same for client and gateway (spec "Juniper NC", section 3.1). */

export const PATHS = {
  welcome: '/dana-na/auth/url_default/welcome.cgi',
  login: '/dana-na/auth/url_default/login.cgi',
  landing: '/dana/home/starter0.cgi',
  tunnel: '/dana/js',
  logOut: '/dana-na/auth/logout.cgi',
} as const;

/** The request for a tunnel, path and query. */
export const TUNNEL_TARGET: string = `${PATHS.tunnel}?prot=1&svc=4`;
