/** The deframer of an encapsulation. */
import type { PppDeframer } from './deframer.ts';
import type { Encapsulation } from './encapsulation.ts';
import { HdlcDeframer } from './hdlc.ts';
import { PrefixDeframer } from './prefix-deframer.ts';
import { RecordDeframer } from './record-deframer.ts';

export function createDeframer({ framing }: Encapsulation): PppDeframer {
  switch (framing.kind) {
    case 'prefixed':
      return new PrefixDeframer(framing.prefix);
    case 'hdlc':
      return new HdlcDeframer();
    case 'record':
      return new RecordDeframer();
    default:
      return framing satisfies never;
  }
}
