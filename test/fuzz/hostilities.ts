/** Every way in which the fuzzing gateway is hostile, by name: what a run is given besides its seed. */
import type { Dice } from './dice.ts';
import type { Hostility } from './hostile-gateway.ts';
import { damagedAnswers, damagedDocuments, endlessAnswers, endlessLogIn, framedBadly, monstrousDocuments } from './hostile-log-in.ts';
import { badLink, endlessCookies, fallsSilent, wildPlaintext, wildRecords } from './hostile-records.ts';
import { badGrants, damagedGrants, endings, floods, storms, unreadAnswers, wildFrames } from './hostile-tunnel.ts';
import { damagedTls, notTls } from './hostile-wire.ts';

export const HOSTILITIES: Readonly<Record<string, (dice: Dice) => Hostility>> = {
  'no TLS': notTls,
  'damaged TLS': damagedTls,
  'damaged answers': damagedAnswers,
  'bad framing': framedBadly,
  'endless answers': endlessAnswers,
  'endless log-in': endlessLogIn,
  'damaged documents': damagedDocuments,
  'monstrous documents': monstrousDocuments,
  'bad grants': badGrants,
  'damaged grants': damagedGrants,
  storms,
  'wild frames': wildFrames,
  floods,
  'unread answers': unreadAnswers,
  endings,
  'bad link': badLink,
  'wild records': wildRecords,
  'endless cookies': endlessCookies,
  'wild plaintext': wildPlaintext,
  'falling silent': fallsSilent,
  mixture,
};

/** Two of them at once, of different layers as a rule. */
function mixture(dice: Dice): Hostility {
  const log = dice.pick([damagedAnswers, damagedDocuments, damagedTls]);
  const stream = dice.pick([badGrants, storms, wildFrames, endings]);
  const datagrams = dice.pick([badLink, wildRecords, wildPlaintext, fallsSilent]);
  const isLate = dice.oneIn(2); // the log-in stays honest, so that the tunnel is reached
  return { ...(isLate ? {} : log(dice.fork(1))), ...stream(dice.fork(2)), ...datagrams(dice.fork(3)) };
}
