/** Where an Array gateway has what: the paths of its HTTP, the same for client and gateway (spec "Array", sections 1, 2.2, 3 and 7). */

/** The gateway's own pages, in the notation of its web proxy. */
export const OWN_PAGES = '/prx/000/http/localhost/';

export const PATHS = {
  login: '/prx/000/http/localhost/login',
  /** A script that says why a log-in failed. */
  loginScript: '/prx/000/http/localhost/an_login.js',
  welcome: '/prx/000/http/localhost/welcome',
  tunnel: '/vpntunnel',
  logOut: '/prx/000/http/localhost/logout',
} as const;
