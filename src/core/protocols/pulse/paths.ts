/** Where things are at a Pulse gateway (spec "Pulse", section 11). */
export const LOG_OUT_PATH = '/dana-na/auth/logout.cgi';
