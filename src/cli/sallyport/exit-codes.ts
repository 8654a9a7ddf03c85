/** How `sallyport` ends: one table for the help, the manual page and the code. Zero is success, the rest says who has to do something. */

export const EXIT = {
  ok: 0,
  unexpected: 1,
  sessionRefused: 2,
  loginFailed: 3,
  notTrusted: 4,
  noConnection: 5,
  localSetup: 6,
  endedByGateway: 7,
  noSession: 8,
  usage: 64,
  stopped: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** In the order of the codes. The second is openconnect's, as wrappers know it; 64 is that of sysexits(3), 130 that of a shell. */
export const EXIT_MEANINGS: readonly (readonly [code: ExitCode, meaning: string])[] = [
  [EXIT.ok, 'Done; or disconnected because you asked for it.'],
  [EXIT.unexpected, 'Something unexpected: please report it.'],
  [EXIT.sessionRefused, 'The gateway does not take the session (any more): log in again.'],
  [EXIT.loginFailed, 'The log-in failed: the gateway refused it, or a question was not answered.'],
  [EXIT.notTrusted, 'The gateway is not trusted: nobody vouches for its certificate.'],
  [EXIT.noConnection, 'The gateway cannot be reached, or the connection was lost and did not come back.'],
  [EXIT.localSetup, 'This machine could not be set up, or not be put back: permissions, device, routes, DNS.'],
  [EXIT.endedByGateway, 'The gateway ended the session, or does not open a tunnel.'],
  [EXIT.noSession, 'There is no such session.'],
  [EXIT.usage, 'The command line, or a file that it names, cannot be used.'],
  [EXIT.stopped, 'Stopped before the tunnel was up.'],
];
